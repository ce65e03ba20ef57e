"""What a model notes down before it answers or draws: what stands where, in few words.

    cat left, dog right          猫左边，狗右边

A question is answered, and an instruction followed, by way of such a line. To see what is there, to think, and to speak
are then three things that are each learnt apart; to find a named thing among pictures' codes in one go was not learnt
at all (chain of thought, arXiv:2201.11903). One rule makes a line easy to write: it goes through the things once, in
their order, and says what was asked for right behind the thing that it is about, and behind no other. All that is to be
found is then whether the word just written was said before, which one head can see; to look something up later in a
line that is already written takes two, one after the other (induction, arXiv:2209.11895), and was hardly learnt.
"""

from collections.abc import Mapping

from lantu.data.backgrounds import BACKGROUNDS
from lantu.data.gallery import Concept
from lantu.data.questions import SIDES, YES, Question, listed, sides_of
from lantu.document import NEXT
from lantu.types import Placed, Sample

CENTRED = 0.1  # a thing's middle is so near the picture's, of the picture's side
MOST = 2  # things whose places are told
NOTHING = {"en": "nothing", "zh": "没有"}
COMMA, SPACE = {"en": ", ", "zh": "，"}, {"en": " ", "zh": ""}
PLACES = {"en": {place: place for place in SIDES["en"]}, "zh": SIDES["zh"]}


def plan(sample: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """One line for a scene: cat left, dog right, white background."""
    things = [concepts[placed.concept] for placed in sample.objects]
    if len(things) > MOST or len({thing.key for thing in things}) < len(things):
        told = [listed(things, language)]
    else:
        told = [by_thing(thing, side(placed), language) for thing, placed in zip(things, sample.objects, strict=True)]
    word = BACKGROUNDS[sample.background].words[language][0]
    return COMMA[language].join([*told, word + {"en": " background", "zh": "背景"}[language]])


def thought(asked: Question, sample: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """What is noted down before a question of one of the kinds ``FOUND`` is answered.

    where is the dog?        cat, dog right
    is there a dog?          cat, dog yes
    what is on the right?    right dog
    """
    things = [concepts[placed.concept] for placed in sample.objects]
    places = sides_of(sample)
    if asked.kind == "what" and places:
        return by_place(things[places.index(asked.side)], asked.side, language)
    told = {thing.key: thing.names[language] for thing in things}
    if asked.thing in told:
        keys = [thing.key for thing in things]
        found = YES[language][True]
        if asked.kind == "where" and places:
            found = PLACES[language][places[keys.index(asked.thing)]]
        told[asked.thing] += SPACE[language] + found
    return COMMA[language].join(told.values())


def by_thing(thing: Concept, place: str, language: str) -> str:
    """Dog right, 狗右边."""
    name = thing.names[language]
    return f"{name}{SPACE[language]}{PLACES[language][place]}" if place else name


def by_place(thing: Concept, place: str, language: str) -> str:
    """Right dog, 右边狗."""
    return f"{PLACES[language][place]}{SPACE[language]}{thing.names[language]}"


def steps(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """Steps for an instruction: what is there, with what becomes of it, and what is to be there.

    cat left, dog right: car, white background; cat left, car right, white background
    """
    there = plan(before, concepts, language).split(COMMA[language])
    changes = becoming(before, after, concepts, language)
    noted = [piece + (f": {change}" if change else "") for piece, change in zip(there, changes, strict=True)]
    return f"{COMMA[language].join(noted)}{NEXT} {plan(after, concepts, language)}"


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
    return [*pieces, BACKGROUNDS[after.background].words[language][0] if other else ""]


def side(placed: Placed) -> str:
    """On which side a thing stands: "left", "right", "top", "bottom"; "" in the middle."""
    x0, y0, x1, y1 = placed.box
    x, y = (x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5
    if max(abs(x), abs(y)) < CENTRED:
        return ""
    if abs(x) > abs(y):
        return "left" if x < 0 else "right"
    return "top" if y < 0 else "bottom"
