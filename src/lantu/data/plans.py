"""What a model notes down before it answers or draws: what stands where, in few words.

    cat left, dog right          猫左边，狗右边

A question is answered, and an instruction followed, by way of such a line. To see what is there, to think, and to speak
are then three things that are each learnt apart; to find a named thing among pictures' codes in one go was not learnt
at all (chain of thought, arXiv:2201.11903). Two rules make a line easy to go on from. The piece that was asked for is
said again at the end. And what tells pieces apart stands right before what is to be found by it, with no "on the"
between, for a transformer first learns to repeat what came behind the last word (induction, arXiv:2209.11895).
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

    where is the dog?        cat left, dog right; dog right
    what is on the right?    left cat, right dog; right dog
    is there a dog?          cat no, dog yes
    """
    things = [concepts[placed.concept] for placed in sample.objects]
    comma, space = COMMA[language], SPACE[language]
    if asked.kind == "there":
        shown = {thing.key: thing.names[language] for thing in things}
        return comma.join(f"{name}{space}{YES[language][key == asked.thing]}" for key, name in shown.items())
    places = sides_of(sample)
    by = by_thing if asked.kind == "where" else by_place
    pieces = [by(thing, place, language) for thing, place in zip(things, places or (), strict=True)]
    wanted = places.index(asked.side) if places and asked.side else [thing.key for thing in things].index(asked.thing)
    return f"{comma.join(pieces)}{NEXT} {pieces[wanted]}"


def by_thing(thing: Concept, place: str, language: str) -> str:
    """Dog right, 狗右边."""
    name = thing.names[language]
    return f"{name}{SPACE[language]}{PLACES[language][place]}" if place else name


def by_place(thing: Concept, place: str, language: str) -> str:
    """Right dog, 右边狗."""
    return f"{PLACES[language][place]}{SPACE[language]}{thing.names[language]}"


def steps(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """Steps for an instruction: what is there, what becomes of the things that don't stay, and what is to be there.

    cat left, dog right, white background; dog right: car right; cat left, car right, white background
    """
    told = [plan(before, concepts, language), plan(after, concepts, language)]
    if changed := becoming(before, after, concepts, language):
        told.insert(1, changed)
    return f"{NEXT} ".join(told)


def becoming(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """What becomes of things: another in their place, another place, or nothing; "" where all things stay."""
    there = {side(placed): placed.concept for placed in after.objects}
    where = {placed.concept: side(placed) for placed in after.objects}
    pieces = []
    for placed in before.objects:
        old, place = placed.concept, side(placed)
        if there.get(place) == old:
            continue
        new, new_place = (there[place], place) if place in there else (old, where.get(old))
        now = NOTHING[language] if new_place is None else by_thing(concepts[new], new_place, language)
        pieces.append(f"{by_thing(concepts[old], place, language)}: {now}")
    return COMMA[language].join(pieces)


def side(placed: Placed) -> str:
    """On which side a thing stands: "left", "right", "top", "bottom"; "" in the middle."""
    x0, y0, x1, y1 = placed.box
    x, y = (x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5
    if max(abs(x), abs(y)) < CENTRED:
        return ""
    if abs(x) > abs(y):
        return "left" if x < 0 else "right"
    return "top" if y < 0 else "bottom"
