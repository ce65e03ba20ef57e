"""What a model notes down before it answers or draws: what stands where, in words.

    a cat on the left, a dog on the right          左边一只猫，右边一只狗

A question is answered, and an instruction followed, by way of such a line. To see what is there, to think, and to speak
are then three things that are each learnt apart, where to find a named thing among pictures' codes in one go was not
learnt at all (chain of thought, arXiv:2201.11903). Each piece of a line begins with what was asked by, and the piece
that was asked for comes again at the end: what is left is to go on as it went on before, the first thing that a
transformer learns (induction, arXiv:2209.11895).
"""

from collections.abc import Mapping

from lantu.data.backgrounds import BACKGROUNDS
from lantu.data.gallery import Concept
from lantu.data.questions import SIDES, YES, Question, listed, named, sides_of
from lantu.document import NEXT
from lantu.types import Placed, Sample

CENTRED = 0.1  # a thing's middle is so near the picture's, of the picture's side
MOST = 2  # things whose places are told
NOTHING = {"en": "nothing", "zh": "没有"}
COMMA = {"en": ", ", "zh": "，"}


def plan(sample: Sample, concepts: Mapping[str, Concept], language: str, background: bool = False) -> str:
    """One line for a scene.

    Args:
        concepts: by key, those of the gallery.
        background: tell it, too.
    """
    things = [concepts[placed.concept] for placed in sample.objects]
    if len(things) > MOST or len({thing.key for thing in things}) < len(things):
        told = listed(things, language)
    else:
        by, pairs = by_thing if language == "en" else by_place, zip(things, sample.objects, strict=True)
        told = COMMA[language].join(by(thing, side(placed), language) for thing, placed in pairs)
    if not background:
        return told
    word = BACKGROUNDS[sample.background].words[language][0]
    return f"{told}{COMMA[language]}{word}{' background' if language == 'en' else '背景'}"


def thought(asked: Question, sample: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """What is noted down before a question is answered.

    where is the dog?        a cat on the left, a dog on the right; a dog on the right
    what is on the right?    on the left a cat, on the right a dog; on the right a dog
    is there a dog?          a cat: no, a dog: yes
    how many?                three cats
    """
    things, comma = [concepts[placed.concept] for placed in sample.objects], COMMA[language]
    if asked.kind == "there":
        return comma.join(f"{named(thing, language)}: {YES[language][thing.key == asked.thing]}" for thing in things)
    places = sides_of(sample)
    if asked.kind not in ("where", "what") or not places:
        return plan(sample, concepts, language)
    by = by_thing if asked.kind == "where" else by_place
    pieces = [by(thing, place, language) for thing, place in zip(things, places, strict=True)]
    wanted = places.index(asked.side) if asked.side else [thing.key for thing in things].index(asked.thing)
    return f"{comma.join(pieces)}{NEXT} {pieces[wanted]}"


def by_thing(thing: Concept, place: str, language: str) -> str:
    """A dog on the right, 狗在右边."""
    if not place:
        return named(thing, language)
    where = SIDES[language][place]
    return f"{named(thing, language)} {where}" if language == "en" else f"{thing.names[language]}在{where}"


def by_place(thing: Concept, place: str, language: str) -> str:
    """On the right a dog, 右边一只狗."""
    if not place:
        return named(thing, language)
    return f"{SIDES[language][place]}{' ' if language == 'en' else ''}{named(thing, language)}"


def steps(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """Steps for an instruction: what is there, what becomes of the things that don't stay, and what is to be there.

    a cat on the left, a dog on the right, white background; a dog on the right: a car; a cat on the left, …
    """
    told = [plan(before, concepts, language, background=True), plan(after, concepts, language, background=True)]
    if changed := becoming(before, after, concepts, language):
        told.insert(1, changed)
    return f"{NEXT} ".join(told)


def becoming(before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str) -> str:
    """What stands where other things, or none, stood before; "" where all things stay."""
    now = {side(placed): concepts[placed.concept] for placed in after.objects}
    pieces = []
    for placed in before.objects:
        place, thing = side(placed), concepts[placed.concept]
        if now.get(place) != thing:
            new = named(now[place], language) if place in now else NOTHING[language]
            pieces.append(f"{by_thing(thing, place, language)}: {new}")
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
