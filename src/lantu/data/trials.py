"""Prompts with exactly known right answers, and true pictures, for evaluation.

Prompts of "pairs" and "caption" show pairs of concepts that are never together in the training data.
"""

from collections.abc import Callable

import numpy as np

from lantu.data.anywhere import MOST, scattered
from lantu.data.backgrounds import ALL
from lantu.data.captions import pick, say, words_for
from lantu.data.gallery import Concept
from lantu.data.heldout import held_out_pair, held_out_style
from lantu.data.layouts import BOTTOM, LAYOUTS, LEFT, RIGHT, TOP, Layout, square
from lantu.data.phrases import IN_STYLE, PHRASES
from lantu.data.scenes import Composer
from lantu.data.styles import STYLES
from lantu.errors import DataError
from lantu.evaluation.trial import Trial
from lantu.types import Placed

# Phrasings that captions never use; only evaluation does.
FREE = {
    "en": (
        "there's {a} to my left and {b} over on the right side",
        "put {a} on the left side, please, and {b} on the other side",
        "I want to see {a} at left with {b} at right",
        "the left half shows {a} while the right half shows {b}",
        "draw me {a}; to its right there should be {b}",
        "{b} stands right of {a}",
        "leftmost is {a}, rightmost is {b}",
        "could you paint {a} (left) together with {b} (right)?",
    ),
    "zh": (
        "画面左侧有{a}，右侧则是{b}",
        "请把{A}画在左半边，{B}画在右半边",
        "我想看左手边{a}、右手边{b}",
        "{A}居左，{B}居右",
        "帮我画一张图：左面{a}，右面{b}",
        "{A}的右侧放着{b}",
        "最左是{a}，最右是{b}",
        "能不能画{a}（左）和{b}（右）？",
    ),
}
LANGUAGES = ("en", "zh")
TRIES = 10_000
WHOLE = Layout("one", (square(1, 1, 6),))
BESIDE, ABOVE = Layout("beside", (LEFT, RIGHT)), Layout("above", (TOP, BOTTOM))


def trials(composer: Composer, suite: str, count: int, seed: int = 0) -> list[Trial]:
    """Trials of one suite; the same for the same arguments.

    Args:
        composer: of the scenes that the model was trained on.
        suite: "reconstruction", "single", "pairs", "counts", "style", "language", "caption" or "own_caption".

    Raises:
        DataError: there is no such suite.
    """
    if suite not in MAKERS:
        raise DataError(f"no suite called {suite}", f"choose from {', '.join(MAKERS)}")
    rng = np.random.default_rng((seed, *suite.encode()))
    made: list[Trial] = []
    while len(made) < count:
        made += MAKERS[suite](composer, len(made), rng)
    return made[:count]


def reconstruction(composer: Composer, index: int, rng: np.random.Generator) -> list[Trial]:
    """Scenes to be encoded and decoded."""
    sample, image = composer.sample("val", 500_000 + index)
    if ALL[sample.background].drawn:  # in front of a scenery, the judge can't identify the things
        image = composer.compose(sample.objects, "white")
    prompt = sample.captions["en"][0]
    return [Trial("reconstruction", prompt, "en", sample.objects, image, sample.key)]


def single(composer: Composer, index: int, rng: np.random.Generator) -> list[Trial]:
    """A single thing."""
    (concept,), style = choose(composer, 1, rng)
    language = LANGUAGES[index % 2]
    return [
        trial(composer, "single", WHOLE, [concept], style, language, f"single-{index}", PHRASES[language]["one"][0])
    ]


def pairs(composer: Composer, index: int, rng: np.random.Generator) -> list[Trial]:
    """Two things that are never together in the training data."""
    concepts, style = choose(composer, 2, rng, held_out=True)
    layout, language = (ABOVE if index % 8 >= 6 else BESIDE), LANGUAGES[index % 2]
    phrase = PHRASES[language][layout.relation][0]
    return [trial(composer, "pairs", layout, concepts, style, language, f"pairs-{index}", phrase)]


def counts(composer: Composer, index: int, rng: np.random.Generator) -> list[Trial]:
    """Several of one thing."""
    (concept,), style = choose(composer, 1, rng)
    if composer.placement == "anywhere":
        layout, language = scattered(2 + index % (MOST - 1), rng), LANGUAGES[index // (MOST - 1) % 2]
    else:
        layouts = [layout for _, layout in LAYOUTS if layout.same]
        layout, language = layouts[index % len(layouts)], LANGUAGES[index // 3 % 2]
    concepts = [concept] * len(layout.slots)
    return [
        trial(composer, "counts", layout, concepts, style, language, f"counts-{index}", PHRASES[language]["count"][0])
    ]


def in_style(composer: Composer, index: int, rng: np.random.Generator) -> list[Trial]:
    """A thing in a style."""
    (concept,), style = choose(composer, 1, rng)
    language = LANGUAGES[index % 2]
    word = STYLES[style].words[language][0]
    phrase = IN_STYLE[language][0].format(x=PHRASES[language]["one"][0], w=word)
    return [trial(composer, "style", WHOLE, [concept], style, language, f"style-{index}", phrase)]


def languages(composer: Composer, index: int, rng: np.random.Generator) -> list[Trial]:
    """The same scene requested in both languages, plainly and in free words."""
    concepts, style = choose(composer, 2, rng, held_out=True)
    asked = []
    for language in LANGUAGES:
        for phrasing, phrase in (("template", PHRASES[language]["beside"][0]), ("free", pick(FREE[language], rng))):
            key = f"language-{index // 4}:{language}-{phrasing}"
            asked.append(trial(composer, "language", BESIDE, concepts, style, language, key, phrase, phrasing))
    return asked


def caption(composer: Composer, index: int, rng: np.random.Generator) -> list[Trial]:
    """A pair of things to be captioned."""
    concepts, style = choose(composer, 2, rng, held_out=True)
    layout, language = (ABOVE if index % 4 == 3 else BESIDE), LANGUAGES[index % 2]
    phrase = PHRASES[language][layout.relation][0]
    return [trial(composer, "caption", layout, concepts, style, language, f"caption-{index}", phrase)]


def own_caption(composer: Composer, index: int, rng: np.random.Generator) -> list[Trial]:
    """A single thing and a pair in alternation, to be drawn and then captioned in the language of the prompt."""
    language, alone = LANGUAGES[index % 2], index % 4 < 2
    concepts, style = choose(composer, 1 if alone else 2, rng, held_out=not alone)
    layout = WHOLE if alone else BESIDE
    phrase = PHRASES[language][layout.relation][0]
    return [trial(composer, "own_caption", layout, concepts, style, language, f"own_caption-{index}", phrase)]


MAKERS: dict[str, Callable[[Composer, int, np.random.Generator], list[Trial]]] = {
    "reconstruction": reconstruction,
    "single": single,
    "pairs": pairs,
    "counts": counts,
    "style": in_style,
    "language": languages,
    "caption": caption,
    "own_caption": own_caption,
}


def choose(
    composer: Composer, count: int, rng: np.random.Generator, held_out: bool = False
) -> tuple[list[Concept], str]:
    """Concepts, and a style that training may show each in; with ``held_out`` a pair that it never shows together."""
    for _ in range(TRIES):
        style = composer.styles[rng.integers(len(composer.styles))]
        keys = [composer.concepts[number] for number in rng.choice(len(composer.concepts), count, replace=False)]
        seen = all(composer.gallery.has(key, style) and not held_out_style(key, style) for key in keys)
        if seen and (not held_out or held_out_pair(*keys)):
            return [composer.gallery.concepts[key] for key in keys], style
    raise DataError("the gallery has no scene to ask for", "use more concepts or styles")


def trial(
    composer: Composer,
    suite: str,
    layout: Layout,
    concepts: list[Concept],
    style: str,
    language: str,
    key: str,
    phrase: str,
    phrasing: str = "template",
) -> Trial:
    """The prompt of a phrase, with a true picture on white."""
    objects = tuple(Placed(one.key, style, slot) for one, slot in zip(concepts, layout.slots, strict=True))
    prompt = say(phrase, tuple(concepts), language)
    words = tuple(words_for(concept, language) for concept in concepts)
    return Trial(suite, prompt, language, objects, composer.compose(objects, "white"), key, words, phrasing)
