"""Pairs of scenes that differ by one instruction: before, the instruction, after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lantu.data.backgrounds import Background
from lantu.data.captions import Content, captions
from lantu.data.edit_places import PLACES, SIDES, Places, Spot
from lantu.data.gallery import Concept
from lantu.data.heldout import held_out
from lantu.data.questions import named
from lantu.data.scenes import Composer
from lantu.errors import DataError
from lantu.types import Placed, Sample

SPLITS = ("edits", "edits-val", "edits-heldout")
TRIES = 1000
SIDE_WORDS: Mapping[str, Mapping[str, str]] = {
    "left": {"en": "left", "zh": "左边"},
    "right": {"en": "right", "zh": "右边"},
    "top": {"en": "top", "zh": "上面"},
    "bottom": {"en": "bottom", "zh": "下面"},
}
PHRASES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "replace": ("replace the {A} with {b}", "change the {A} into {b}", "{b} in place of the {A}"),
        "background": ("change the background to {w}", "make the background {w}", "a {w} background, please"),
        "swap": ("swap the {A} and the {B}", "exchange the {A} and the {B}", "the {A} and the {B} change places"),
        "remove": ("remove the {A}", "take the {A} away", "without the {A}"),
        "add": ("add {b} on the {s} side", "put {b} on the {s}", "{b} on the {s}, too"),
        "move": ("move the {A} to the {s}", "put the {A} on the {s}", "the {A} should be on the {s}"),
    },
    "zh": {
        "replace": ("把{A}换成{b}", "将{A}改成{b}", "用{b}代替{A}"),
        "background": ("把背景换成{w}", "背景改成{w}", "换一个{w}背景"),
        "swap": ("交换{A}和{B}的位置", "{A}和{B}互换位置", "把{A}和{B}对调"),
        "remove": ("去掉{A}", "把{A}拿走", "删除{A}"),
        "add": ("在{s}加{b}", "{s}再画{b}", "{s}添上{b}"),
        "move": ("把{A}移到{s}", "将{A}放到{s}", "{A}移动到{s}"),
    },
}


@dataclass(frozen=True)
class Edit:
    """A scene before and after, and the arguments of its phrases: things a and b, and a side.

    Attributes:
        relation: of the things before, a key of ``phrases.PHRASES``.
        side: a key of ``SIDE_WORDS``; "" for none.
    """

    kind: str
    relation: str
    before: tuple[Placed, ...]
    after: tuple[Placed, ...]
    background: str
    new_background: str
    a: Concept
    b: Concept | None = None
    side: str = ""


def edit(composer: Composer, split: str, index: int) -> tuple[tuple[Sample, np.ndarray], tuple[Sample, np.ndarray]]:
    """Pair ``index`` of a split: the scene before, and the scene after, whose captions are the instructions.

    A pure function of the composer's seed, split and index. "edits" and "edits-val" contain nothing that is held out;
    in "edits-heldout" the result does: a pair of things, or a drawing, that is not in the training data.

    Raises:
        DataError: the gallery has hardly any.
    """
    rng = np.random.default_rng((composer.seed, 7, SPLITS.index(split), index))
    for _ in range(TRIES):
        made = MAKERS[rng.integers(len(MAKERS))](composer, PLACES[composer.placement], rng)
        if made and not unseen(made.before) and unseen(made.after) == (split == "edits-heldout"):
            return pictures(composer, made, f"{split}-{index:07d}", rng)
    raise DataError(f"no pair for the split {split!r}", "use more concepts or styles")


def pictures(
    composer: Composer, made: Edit, key: str, rng: np.random.Generator
) -> tuple[tuple[Sample, np.ndarray], tuple[Sample, np.ndarray]]:
    """Both scenes of an edit, drawn and described."""
    things = tuple(composer.gallery.concepts[placed.concept] for placed in made.before)
    content = Content(made.relation, things, made.before[0].style, made.background)
    texts = captions(content, rng)
    grounds = PLACES[composer.placement].grounds
    asked = {language: instructions(made, language, grounds[made.new_background]) for language in PHRASES}
    before = Sample(f"{key}-before", "before", texts, made.before, made.background)
    after = Sample(f"{key}-after", made.kind, asked, made.after, made.new_background)
    return (
        (before, composer.compose(made.before, made.background)),
        (after, composer.compose(made.after, made.new_background)),
    )


def instructions(made: Edit, language: str, background: Background) -> tuple[str, ...]:
    """Every wording of an edit in a language."""
    words = {"A": made.a.names[language], "w": background.words[language][0]}
    if made.b:
        words |= {"B": made.b.names[language], "b": named(made.b, language)}
    if made.side:
        words["s"] = SIDE_WORDS[made.side][language]
    return tuple(phrase.format(**words) for phrase in PHRASES[language][made.kind])


def unseen(objects: tuple[Placed, ...]) -> bool:
    """Whether a scene, all in one style, is held out from training."""
    return held_out([placed.concept for placed in objects], objects[0].style)


def things(composer: Composer, count: int, rng: np.random.Generator) -> tuple[list[Concept], str] | None:
    """Different concepts that one style draws."""
    style = composer.styles[rng.integers(len(composer.styles))]
    keys = [composer.concepts[number] for number in rng.choice(len(composer.concepts), count, replace=False)]
    if not all(composer.gallery.has(key, style) for key in keys):
        return None
    return [composer.gallery.concepts[key] for key in keys], style


def ground(places: Places, rng: np.random.Generator, not_this: str = "") -> str:
    """A random background, other than ``not_this``."""
    names = [name for name in places.grounds if name != not_this]
    if not not_this and rng.random() < places.white:
        return "white"
    return names[rng.integers(len(names))]


def scene(concepts: list[Concept], style: str, spot: Spot) -> tuple[Placed, ...]:
    """Things of one style in some places."""
    return tuple(Placed(concept.key, style, box) for concept, box in zip(concepts, spot.boxes, strict=True))


def replaced(composer: Composer, places: Places, rng: np.random.Generator) -> Edit | None:
    """A thing becomes another thing."""
    if not (found := things(composer, 3, rng)):
        return None
    (a, other, b), style = found
    alone, background, pair = rng.random() < 0.4, ground(places, rng), places.pair(rng)
    spot = places.alone(rng) if alone else pair
    kept = [] if alone else [other]
    order = [a, *kept] if rng.random() < 0.5 else [*kept, a]
    new = [b if concept is a else concept for concept in order]
    before, after = scene(order, style, spot), scene(new, style, spot)
    return Edit("replace", spot.relation, before, after, background, background, a, b)


def recoloured(composer: Composer, places: Places, rng: np.random.Generator) -> Edit | None:
    """The background changes."""
    if not (found := things(composer, 2, rng)):
        return None
    concepts, style = found
    spot = places.alone(rng) if rng.random() < 0.4 else places.pair(rng)
    before = scene(concepts[: len(spot.boxes)], style, spot)
    background = ground(places, rng)
    new = ground(places, rng, background)
    return Edit("background", spot.relation, before, before, background, new, concepts[0])


def swapped(composer: Composer, places: Places, rng: np.random.Generator) -> Edit | None:
    """Two things change places."""
    if not (found := things(composer, 2, rng)):
        return None
    (a, b), style = found
    spot, background = places.pair(rng), ground(places, rng)
    before, after = scene([a, b], style, spot), scene([b, a], style, spot)
    return Edit("swap", spot.relation, before, after, background, background, a, b)


def removed(composer: Composer, places: Places, rng: np.random.Generator) -> Edit | None:
    """One thing disappears."""
    if not (made := paired(composer, places, rng)):
        return None
    spot, pair, style, background, gone = made
    after = scene([pair[1 - gone]], style, places.kept(spot, 1 - gone))
    return Edit("remove", spot.relation, scene(pair, style, spot), after, background, background, pair[gone])


def added(composer: Composer, places: Places, rng: np.random.Generator) -> Edit | None:
    """One thing appears."""
    if not (made := paired(composer, places, rng)):
        return None
    spot, pair, style, background, new = made
    start = places.kept(spot, 1 - new)
    before, after, side = scene([pair[1 - new]], style, start), scene(pair, style, spot), SIDES[spot.relation][new]
    return Edit("add", start.relation, before, after, background, background, pair[1 - new], pair[new], side)


def paired(
    composer: Composer, places: Places, rng: np.random.Generator
) -> tuple[Spot, list[Concept], str, str, int] | None:
    """A pair of things: its places, the things, style, background, and the number of the one that comes or goes."""
    if not (found := things(composer, 2, rng)):
        return None
    pair, style = found
    spot, background = places.pair(rng), ground(places, rng)
    return spot, pair, style, background, int(rng.integers(2))


def moved(composer: Composer, places: Places, rng: np.random.Generator) -> Edit | None:
    """One thing moves to another place."""
    if not (found := things(composer, 1, rng)):
        return None
    (a,), style = found
    side, start, goal = places.across(rng)
    background, before, after = ground(places, rng), scene([a], style, start), scene([a], style, goal)
    return Edit("move", start.relation, before, after, background, background, a, side=side)


MAKERS: tuple[Callable[[Composer, Places, np.random.Generator], Edit | None], ...] = (
    replaced,
    replaced,
    recoloured,
    swapped,
    removed,
    added,
    moved,
)
KINDS = ("replace", "background", "swap", "remove", "add", "move")
