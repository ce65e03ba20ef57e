"""Free wordings of scenes: what stands where, put together from names of places, clauses and joints.

``phrases`` are whole sentences; a model that reads only these takes another order or another verb for noise. So a share
of captions is put together anew each time: "the top left corner has a cat; a dog sits in the bottom right corner". What
stands in a slot keeps its letter ({a}, {b} …, see ``phrases``), whatever the order of the clauses.
"""

from collections.abc import Mapping

import numpy as np

from lantu.data.phrases import Phrases

# What the slots of a layout are called, in the order of its slots; the keys are those of ``phrases``.
SLOTS: Mapping[str, tuple[str, ...]] = {
    "top left": ("top left",),
    "top right": ("top right",),
    "bottom left": ("bottom left",),
    "bottom right": ("bottom right",),
    "middle": ("middle",),
    "left": ("left",),
    "right": ("right",),
    "top": ("top",),
    "bottom": ("bottom",),
    "beside": ("left", "right"),
    "above": ("top", "bottom"),
    "diagonal": ("top left", "bottom right"),
    "other diagonal": ("top right", "bottom left"),
    "between": ("left", "middle", "right"),
    "stacked": ("top", "middle", "bottom"),
    "roof": ("top", "bottom left", "bottom right"),
    "corners": ("top left", "top right", "bottom left", "bottom right"),
}

# A place as an adverb: "{a} {place}", 在{place}画{a}.
PLACES: Mapping[str, Phrases] = {
    "en": {
        "left": (
            "on the left",
            "at the left",
            "to the left",
            "on the left side",
            "on the left-hand side",
            "over on the left",
            "on the far left",
            "in the left half",
        ),
        "right": (
            "on the right",
            "at the right",
            "to the right",
            "on the right side",
            "on the right-hand side",
            "over on the right",
            "on the far right",
            "in the right half",
        ),
        "top": (
            "at the top",
            "on top",
            "up top",
            "in the upper half",
            "in the upper part",
            "at the top of the picture",
            "over at the top",
        ),
        "bottom": (
            "at the bottom",
            "down below",
            "in the lower half",
            "in the lower part",
            "underneath",
            "at the bottom of the picture",
            "over at the bottom",
        ),
        "middle": ("in the middle", "in the centre", "in the center", "at the centre"),
        "top left": ("in the top left corner", "at the top left", "in the upper left", "in the upper left corner"),
        "top right": ("in the top right corner", "at the top right", "in the upper right", "in the upper right corner"),
        "bottom left": (
            "in the bottom left corner",
            "at the bottom left",
            "in the lower left",
            "in the lower left corner",
        ),
        "bottom right": (
            "in the bottom right corner",
            "at the bottom right",
            "in the lower right",
            "in the lower right corner",
        ),
    },
    "zh": {
        "left": ("左边", "左侧", "左面", "左方", "画面左边", "图的左边", "左边那半"),
        "right": ("右边", "右侧", "右面", "右方", "画面右边", "图的右边", "右边那半"),
        "top": ("上面", "上方", "上边", "顶上", "画面上方", "图的上面", "上半部分"),
        "bottom": ("下面", "下方", "下边", "底下", "画面下方", "图的下面", "下半部分"),
        "middle": ("中间", "中央", "正中", "正中间", "画面中间"),
        "top left": ("左上角", "左上方", "左上", "画面左上角"),
        "top right": ("右上角", "右上方", "右上", "画面右上角"),
        "bottom left": ("左下角", "左下方", "左下", "画面左下角"),
        "bottom right": ("右下角", "右下方", "右下", "画面右下角"),
    },
}

# {x} a thing with article or measure word, {X} its bare name, {p} a place
CLAUSES: Phrases = {
    "en": (
        "{x} {p}",
        "{x} {p}",
        "{p} {x}",
        "{p}, {x}",
        "{x} is {p}",
        "{x} sits {p}",
        "{x} goes {p}",
        "{p} is {x}",
        "{p} sits {x}",
        "{p} there is {x}",
        "{p} you can see {x}",
        "{p} comes {x}",
    ),
    "zh": (
        "{p}{x}",
        "{p}{x}",
        "{p}是{x}",
        "{p}有{x}",
        "{p}是{X}",
        "{p}画{x}",
        "{p}放{x}",
        "{p}摆着{x}",
        "{x}在{p}",
        "{X}在{p}",
        "{X}位于{p}",
        "在{p}画{x}",
        "把{X}画在{p}",
        "把{X}放在{p}",
    ),
}
JOINTS: Phrases = {
    "en": (" and ", " and ", ", ", ", and ", "; ", ", then "),
    "zh": ("，", "，", "，", "；", "，然后", "，还有"),
}
# Only of the first clause, which has no verb.
BARE_JOINTS: Phrases = {
    "en": (" with ", " plus ", " together with ", " along with ", " as well as "),
    "zh": ("、", " ", "以及", "，加上"),
}
OPENINGS: Phrases = {
    "en": ("", "", "", "put ", "place ", "a scene with ", "in this picture, "),
    "zh": ("", "", "", "图里", "画面中", "图中"),
}

# Of two things: where one is, seen from the other.
RELATIVE: Mapping[str, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "en": {
        "beside": (
            (
                "to the left of",
                "left of",
                "on the left of",
                "on the left side of",
                "at the left of",
                "on the left-hand side of",
            ),
            (
                "to the right of",
                "right of",
                "on the right of",
                "on the right side of",
                "at the right of",
                "on the right-hand side of",
            ),
        ),
        "above": (
            ("above", "over", "on top of", "right above", "higher than"),
            ("below", "under", "beneath", "underneath", "lower than"),
        ),
    },
    "zh": {
        "beside": (("左边", "左侧", "左面", "左方"), ("右边", "右侧", "右面", "右方")),
        "above": (("上面", "上方", "上边", "顶上"), ("下面", "下方", "下边", "底下")),
    },
}
# {x} is {r} {y}
RELATED: Phrases = {
    "en": (
        "{x} {r} {y}",
        "{x} {r} {y}",
        "{x} is {r} {y}",
        "{x} sits {r} {y}",
        "{x} placed {r} {y}",
        "there is {x} {r} {y}",
        "{r} {y} is {x}",
        "{r} {y} there is {x}",
        "{y}, and {r} it {x}",
        "{y} with {x} {r} it",
        "{y} has {x} {r} it",
    ),
    "zh": (
        "{X}在{Y}{r}",
        "{X}在{Y}的{r}",
        "{x}在{Y}的{r}",
        "{Y}{r}有{x}",
        "{Y}的{r}有{x}",
        "{Y}{r}是{X}",
        "{Y}的{r}是{x}",
        "{y}，{r}有{x}",
        "{y}，{r}是{x}",
        "{X}位于{Y}的{r}",
        "把{X}画在{Y}的{r}",
        "在{Y}的{r}画{x}",
    ),
}
SEEN_FROM = 0.35  # share of the wordings of two things that say where one is, seen from the other


def wording(relation: str, language: str, rng: np.random.Generator) -> str:
    """A phrase for a relation of ``SLOTS``, as one of ``phrases`` is: with {a}, {B} … for the things."""
    slots = SLOTS[relation]
    if relation in RELATIVE[language] and rng.random() < SEEN_FROM:
        first = int(rng.integers(2))  # which of the two is said where it is
        one, other = "ab"[first], "ab"[1 - first]
        phrase, place = _pick(RELATED[language], rng), _pick(RELATIVE[language][relation][first], rng)
        return phrase.format(x=_place(one), X=_place(one.upper()), y=_place(other), Y=_place(other.upper()), r=place)
    turns = rng.permutation(len(slots)) if rng.random() < 0.5 else range(len(slots))
    clause = _pick(CLAUSES[language], rng)  # people say a list alike, and sometimes not
    clauses = [clause if rng.random() < 0.7 else _pick(CLAUSES[language], rng) for _ in slots]
    joints, opening = JOINTS[language], ""
    if set(clauses) == {CLAUSES[language][0]}:
        joints, opening = joints + BARE_JOINTS[language], _pick(OPENINGS[language], rng)
    said = []
    for slot, each in zip(turns, clauses, strict=True):
        letter = "abcd"[slot]
        place = _pick(PLACES[language][slots[slot]], rng)
        said.append(each.format(x=_place(letter), X=_place(letter.upper()), p=place))
    return opening + _pick(joints, rng).join(said)


def spoken(relations: set[str]) -> list[object]:
    """All parts of the wordings of these relations."""
    places = {place for relation in relations & set(SLOTS) for place in SLOTS[relation]}
    named = [its[place] for its in PLACES.values() for place in sorted(places)]
    return [named, CLAUSES, JOINTS, BARE_JOINTS, OPENINGS, RELATED, RELATIVE] if named else []


def _place(letter: str) -> str:
    return f"{{{letter}}}"


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[rng.integers(len(choices))]
