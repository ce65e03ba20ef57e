"""Plans: a line in which a model says what is where, before it answers or draws (chain of thought, arXiv:2201.11903).

    cat left, dog right          猫左边，狗右边

To see, to reason and to speak are then learnt separately; a model could not learn to find a named thing among a
picture's codes in one step. Two rules make a plan easy to write. It begins with what is asked for, so that this is
near. Then it lists the things once, in their order, with the requested fact directly behind the thing that it is about,
and behind no other. So all that the model has to find is whether the word that it has just written occurred before,
which takes one attention head. Looking something up later in a finished line takes two heads in sequence (induction,
arXiv:2209.11895), and was hardly learnt.
"""

from collections.abc import Collection, Mapping, Sequence

from lantu.data.backgrounds import ALL
from lantu.data.gallery import Concept
from lantu.data.questions import SIDES, YES, Question, listed, sides_of
from lantu.tokens.document import NEXT
from lantu.types import Placed, Sample

CENTRED = 0.1  # largest distance of a thing in the middle from the picture's centre, as a share of its side
MOST = 2  # the most things whose places a plan gives
NOTHING = {"en": "nothing", "zh": "没有"}
COMMA, SPACE = {"en": ", ", "zh": "，"}, {"en": " ", "zh": ""}
THEN = {"en": f"{NEXT} ", "zh": NEXT}
GROUND = {"en": "background", "zh": "背景"}
PLACES = {"en": {place: place for place in SIDES["en"]}, "zh": SIDES["zh"]}


def plan(sample: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """A scene in one line: cat left, dog right, white background."""
    things = [concepts[placed.concept] for placed in sample.objects]
    if len(things) > MOST or len({thing.key for thing in things}) < len(things):
        pieces = [listed(things, language)]
    else:
        pieces = [by_thing(thing, side(placed), language) for thing, placed in zip(things, sample.objects, strict=True)]
    word = ALL[sample.background].words[language][0]
    return COMMA[language].join([*pieces, word + SPACE[language] + GROUND[language]])


def thought(asked: Question, sample: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """The plan before the answer to a question of one of the kinds ``PLANNED``.

    where is the dog?        dog; cat, dog right
    is there a dog?          dog; cat, dog yes
    what is on the right?    right dog
    """
    places = sides_of(sample)
    if asked.kind == "what" and places:
        shown = sample.objects[places.index(asked.side)].concept
        return by_place(concepts[shown], asked.side, language)
    pairs = findings(asked.kind, sample, concepts, language)
    at = [number for number, key in enumerate(pairs) if key == asked.thing]
    return found(concepts[asked.thing].names[language], list(pairs.values()), at, language)


def findings(
    kind: str, sample: Sample, concepts: Mapping[str, Concept], language: str
) -> Mapping[str, tuple[str, str]]:
    """Key of each thing in the scene → its name, and what a plan for "where" or "there" writes behind it."""
    places = sides_of(sample) if kind == "where" else None
    keys = dict.fromkeys(placed.concept for placed in sample.objects)
    marks = [PLACES[language][place] for place in places] if places else [YES[language][True]] * len(keys)
    return {key: (concepts[key].names[language], mark) for key, mark in zip(keys, marks, strict=True)}


def found(name: str, pairs: Sequence[tuple[str, str]], at: Collection[int], language: str) -> str:
    """What is asked for, and then ``marked``: dog; cat, dog right."""
    return f"{name}{THEN[language]}{marked(pairs, at, language)}"


def marked(pairs: Sequence[tuple[str, str]], at: Collection[int], language: str) -> str:
    """The first of each pair, with the second behind those that are asked for: cat, dog right."""
    pieces = (one + (SPACE[language] + behind if number in at else "") for number, (one, behind) in enumerate(pairs))
    return COMMA[language].join(pieces)


def by_thing(thing: Concept, place: str, language: str) -> str:
    """A thing and its place: dog right, 狗右边."""
    name = thing.names[language]
    return f"{name}{SPACE[language]}{PLACES[language][place]}" if place else name


def by_place(thing: Concept, place: str, language: str) -> str:
    """A place and the thing there: right dog, 右边狗."""
    return f"{PLACES[language][place]}{SPACE[language]}{thing.names[language]}"


def followed(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """The plan for an instruction: the instruction restated, and the steps of the change.

    dog: car; cat left, dog right: car, white background; cat left, car right, white background
    """
    request = restated(before, after, concepts, language)
    return f"{request}{THEN[language]}{steps(before, after, concepts, language)}"


def steps(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """The steps of a change: the scene with what becomes of each thing, and the scene afterwards.

    cat left, dog right: car, white background; cat left, car right, white background
    """
    there = plan(before, concepts, language).split(COMMA[language])
    changes = becoming(before, after, concepts, language)
    marked_pieces = [piece + (f": {change}" if change else "") for piece, change in zip(there, changes, strict=True)]
    return f"{COMMA[language].join(marked_pieces)}{THEN[language]}{plan(after, concepts, language)}"


def restated(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """The change that an instruction asks for, which comes before its steps.

    dog: car        cat: right        cat, dog        dog: nothing        owl left        background: pink
    """
    names = {key: concept.names[language] for key, concept in concepts.items()}
    old, new = ({placed.concept: placed for placed in scene.objects} for scene in (before, after))
    gone, come = ([key for key in some if key not in others] for some, others in ((old, new), (new, old)))
    if gone:
        return f"{names[gone[0]]}: {names[come[0]] if come else NOTHING[language]}"
    if come:
        return by_thing(concepts[come[0]], side(new[come[0]]), language)
    if before.background != after.background:
        return f"{GROUND[language]}: {ALL[after.background].words[language][0]}"
    moved = [key for key in old if side(old[key]) != side(new[key])]
    if len(moved) == 1:
        return f"{names[moved[0]]}: {PLACES[language][side(new[moved[0]])]}"
    return COMMA[language].join(names[key] for key in moved)


def becoming(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> list[str]:
    """What becomes of each piece of a plan: another thing, another place, nothing, another colour; "" if it stays."""
    there = {side(placed): placed.concept for placed in after.objects}
    where = {placed.concept: side(placed) for placed in after.objects}
    pieces = []
    for placed in before.objects:
        old, place = placed.concept, side(placed)
        if there.get(place) == old:
            pieces.append("")
        elif old in where:
            pieces.append(PLACES[language][where[old]])
        else:
            pieces.append(concepts[there[place]].names[language] if place in there else NOTHING[language])
    other = before.background != after.background
    return [*pieces, ALL[after.background].words[language][0] if other else ""]


def side(placed: Placed) -> str:
    """The side on which a thing stands: "left", "right", "top", "bottom"; "" in the middle."""
    x0, y0, x1, y1 = placed.box
    x, y = (x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5
    if max(abs(x), abs(y)) < CENTRED:
        return ""
    if abs(x) > abs(y):
        return "left" if x < 0 else "right"
    return "top" if y < 0 else "bottom"
