"""Pairs of scenes that differ by one instruction: before, the instruction, after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lantu.data.backgrounds import BACKGROUNDS
from lantu.data.captions import Content, captions
from lantu.data.gallery import Concept
from lantu.data.heldout import held_out
from lantu.data.layouts import BOTTOM, LEFT, RIGHT, TOP, Box, square
from lantu.data.questions import named
from lantu.data.scenes import WHITE, Composer
from lantu.errors import DataError
from lantu.types import Placed, Sample

SPLITS = ("edits", "edits-val", "edits-heldout")
TRIES = 1000
WHOLE = square(1, 1, 6)
OPPOSITE = {LEFT: RIGHT, RIGHT: LEFT, TOP: BOTTOM, BOTTOM: TOP}
SIDES: Mapping[Box, Mapping[str, str]] = {
    LEFT: {"en": "left", "zh": "左边"},
    RIGHT: {"en": "right", "zh": "右边"},
    TOP: {"en": "top", "zh": "上面"},
    BOTTOM: {"en": "bottom", "zh": "下面"},
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
    """A scene before and after, and the arguments of its phrases: things a and b, and a side."""

    kind: str
    before: tuple[Placed, ...]
    after: tuple[Placed, ...]
    background: str
    new_background: str
    a: Concept
    b: Concept | None = None
    side: Box | None = None


def edit(composer: Composer, split: str, index: int) -> tuple[tuple[Sample, np.ndarray], tuple[Sample, np.ndarray]]:
    """Pair ``index`` of a split: the scene before, and the scene after, whose captions are the instructions.

    A pure function of the composer's seed, split and index. "edits" and "edits-val" contain nothing that is held out;
    in "edits-heldout" the result does: a pair of things, or a drawing, that is not in the training data.

    Raises:
        DataError: the gallery has hardly any.
    """
    rng = np.random.default_rng((composer.seed, 7, SPLITS.index(split), index))
    for _ in range(TRIES):
        made = MAKERS[rng.integers(len(MAKERS))](composer, rng)
        if made and not unseen(made.before) and unseen(made.after) == (split == "edits-heldout"):
            return pictures(composer, made, f"{split}-{index:07d}", rng)
    raise DataError(f"no pair for the split {split!r}", "use more concepts or styles")


def pictures(
    composer: Composer, made: Edit, key: str, rng: np.random.Generator
) -> tuple[tuple[Sample, np.ndarray], tuple[Sample, np.ndarray]]:
    """Both scenes of an edit, drawn and described."""
    things = tuple(composer.gallery.concepts[placed.concept] for placed in made.before)
    relation = "one" if len(things) == 1 else "beside" if made.before[0].box in (LEFT, RIGHT) else "above"
    content = Content(relation, things, made.before[0].style, made.background)
    texts = captions(content, rng)
    asked = {language: instructions(made, language) for language in PHRASES}
    before = Sample(f"{key}-before", "before", texts, made.before, made.background)
    after = Sample(f"{key}-after", made.kind, asked, made.after, made.new_background)
    return (
        (before, composer.compose(made.before, made.background)),
        (after, composer.compose(made.after, made.new_background)),
    )


def instructions(made: Edit, language: str) -> tuple[str, ...]:
    """Every wording of an edit in a language."""
    words = {"A": made.a.names[language], "w": BACKGROUNDS[made.new_background].words[language][0]}
    if made.b:
        words |= {"B": made.b.names[language], "b": named(made.b, language)}
    if made.side:
        words["s"] = SIDES[made.side][language]
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


def ground(rng: np.random.Generator, not_this: str = "") -> str:
    """A random background, other than ``not_this``."""
    names = [name for name in BACKGROUNDS if name != not_this]
    if not not_this and rng.random() < WHITE:
        return "white"
    return names[rng.integers(len(names))]


def scene(concepts: list[Concept], style: str, slots: tuple[Box, ...]) -> tuple[Placed, ...]:
    """Things of one style in some slots."""
    return tuple(Placed(concept.key, style, slot) for concept, slot in zip(concepts, slots, strict=True))


def slots(rng: np.random.Generator) -> tuple[Box, Box]:
    """Two places, side by side or one above the other."""
    return (LEFT, RIGHT) if rng.random() < 0.7 else (TOP, BOTTOM)


def replaced(composer: Composer, rng: np.random.Generator) -> Edit | None:
    """A thing becomes another thing."""
    if not (found := things(composer, 3, rng)):
        return None
    (a, other, b), style = found
    alone, background, pair = rng.random() < 0.4, ground(rng), slots(rng)
    places = (WHOLE,) if alone else pair
    kept = [] if alone else [other]
    order = [a, *kept] if rng.random() < 0.5 else [*kept, a]
    new = [b if concept is a else concept for concept in order]
    return Edit("replace", scene(order, style, places), scene(new, style, places), background, background, a, b)


def recoloured(composer: Composer, rng: np.random.Generator) -> Edit | None:
    """The background changes."""
    if not (found := things(composer, 2, rng)):
        return None
    concepts, style = found
    places = (WHOLE,) if rng.random() < 0.4 else slots(rng)
    before = scene(concepts[: len(places)], style, places)
    background = ground(rng)
    return Edit("background", before, before, background, ground(rng, background), concepts[0])


def swapped(composer: Composer, rng: np.random.Generator) -> Edit | None:
    """Two things change places."""
    if not (found := things(composer, 2, rng)):
        return None
    (a, b), style = found
    places, background = slots(rng), ground(rng)
    return Edit("swap", scene([a, b], style, places), scene([b, a], style, places), background, background, a, b)


def removed(composer: Composer, rng: np.random.Generator) -> Edit | None:
    """One thing disappears."""
    if not (found := things(composer, 2, rng)):
        return None
    (a, b), style = found
    places, background = slots(rng), ground(rng)
    before = scene([a, b], style, places)
    gone = int(rng.integers(2))
    return Edit("remove", before, (before[1 - gone],), background, background, (a, b)[gone])


def added(composer: Composer, rng: np.random.Generator) -> Edit | None:
    """One thing appears."""
    if not (made := removed(composer, rng)):
        return None
    (new,) = set(made.before) - set(made.after)
    (old,) = made.after
    concepts = composer.gallery.concepts
    return replace(
        made,
        kind="add",
        before=made.after,
        after=made.before,
        a=concepts[old.concept],
        b=concepts[new.concept],
        side=new.box,
    )


def moved(composer: Composer, rng: np.random.Generator) -> Edit | None:
    """One thing moves to another place."""
    if not (found := things(composer, 1, rng)):
        return None
    (a,), style = found
    start, background = list(OPPOSITE)[rng.integers(4)], ground(rng)
    goal = OPPOSITE[start]
    return Edit("move", scene([a], style, (start,)), scene([a], style, (goal,)), background, background, a, side=goal)


MAKERS: tuple[Callable[[Composer, np.random.Generator], Edit | None], ...] = (
    replaced,
    replaced,
    recoloured,
    swapped,
    removed,
    added,
    moved,
)
KINDS = ("replace", "background", "swap", "remove", "add", "move")
