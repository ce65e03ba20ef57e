"""The grammar of documents (``lantu.tokens.document``) as a state machine: which ids may come next.

    document  <bos> (text | picture | masked grid | <user> | <assistant> | <plan>)… <eos>; a text after a picture begins
              with its language, <en> or <zh>; a text may lack words, in whose place a <hole> stands
    picture   <boi> height width, exactly height · width codes, <eoi>; where a cell has several codes, one of each level
              in turn
    masked    <edit> <boi> height width, codes and holes, <eoi>, then one code for each hole

States are immutable values and the machine has no other memory, so any state can be stored, compared and continued.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lantu.tokens.vocabulary import MAX_SIDE, Vocabulary

Ranges = tuple[range, ...]
Place = Literal[
    "start", "text", "edit", "height", "width", "codes", "close", "fill", "after picture", "marked", "end"
]  # fmt: skip

AFTER_TEXT = ("eos", "boi", "user", "assistant", "plan", "edit", "hole")
AFTER_PICTURE = ("eos", "boi", "en", "zh", "user", "assistant", "plan", "edit", "hole")


@dataclass(frozen=True)
class State:
    """A position in a document.

    Attributes:
        place: what was read last, or must come next.
        height: in codes, of the picture whose width comes next.
        left: codes that the picture still lacks.
        holes: of a masked grid, read so far; -1 in a picture.
    """

    place: Place = "start"
    height: int = 0
    left: int = 0
    holes: int = -1


START = State()


@dataclass(frozen=True)
class Grammar:
    """The grammar for one vocabulary.

    Args:
        max_side: the longest side of a picture, in codes.
    """

    vocabulary: Vocabulary
    max_side: int = MAX_SIDE

    def allowed(self, state: State) -> Ranges:
        """The ids that may come next, as ascending ranges; none after the end."""
        v = self.vocabulary
        match state.place:
            case "start":
                return self.specials("bos")
            case "text":
                return (range(v.text_size), *self.specials(*AFTER_TEXT))
            case "after picture":
                return (range(v.text_size), *self.specials(*AFTER_PICTURE))
            case "marked":
                return (range(v.text_size),)
            case "edit":
                return self.specials("boi")
            case "height" | "width":
                return (range(v.side(1), v.side(self.max_side) + 1),)
            case "codes" if state.holes < 0:
                return self.next_codes(state)
            case "codes" if state.holes == 0 and state.left == 1:
                return self.specials("hole")  # at least one
            case "codes":
                return (*self.specials("hole"), *self.next_codes(state))
            case "close":
                return self.specials("eoi")
            case "fill":
                return self.next_codes(state)
            case "end":
                return ()

    def next_codes(self, state: State) -> Ranges:
        """The codes that may come next in a picture, or in holes: those of a level."""
        return (self.vocabulary.levels[-state.left % self.vocabulary.depth],)

    def advance(self, state: State, id_: int) -> State:
        """The state after one more id.

        Raises:
            ValueError: the id is not allowed here.
        """
        if not any(id_ in ids for ids in self.allowed(state)):
            raise ValueError(f"id {id_} is not allowed at {state.place!r}")
        v = self.vocabulary
        match state.place:
            case "edit":
                return State("height", holes=0)
            case "height":
                return replace(state, place="width", height=v.side_length(id_) or 0)
            case "width":
                return State("codes", left=state.height * (v.side_length(id_) or 0), holes=state.holes)
            case "codes":
                holes, left = state.holes + (id_ == v.special("hole")), state.left - 1
                return State("codes" if left else "close", left=left, holes=holes)
            case "close":
                return State("fill", left=state.holes) if state.holes > 0 else State("after picture")
            case "fill":
                return State("fill", left=state.left - 1) if state.left > 1 else State("after picture")
        if id_ < v.text_size:
            return State("text")
        after: dict[str, Place] = {
            "bos": "text",
            "user": "text",
            "lantu": "text",
            "plan": "text",
            "hole": "text",
            "eos": "end",
            "boi": "height",
            "edit": "edit",
            "en": "marked",
            "zh": "marked",
        }
        return State(next(place for mark, place in after.items() if id_ == v.special(mark)))

    def read(self, ids: Iterable[int], state: State = START) -> State:
        """The state after several ids.

        Raises:
            ValueError: one of them is not allowed where it stands.
        """
        for id_ in ids:
            state = self.advance(state, id_)
        return state

    def follow(self, prefix: Iterable[int]) -> Callable[[Sequence[int]], Ranges]:
        """The ids that may follow a prefix, as a function of the ids drawn since (``Request.allowed``).

        Every id is read once: each call of a draft has one id more than the last, and a new draft starts with none.
        """
        states = [self.read(prefix)]

        def allowed(ids: Sequence[int]) -> Ranges:
            del states[len(ids) + 1 :]
            for id_ in ids[len(states) - 1 :]:
                states.append(self.advance(states[-1], id_))
            return self.allowed(states[-1])

        return allowed

    def reply(self, prefix: Iterable[int], plans: bool = False) -> Callable[[Sequence[int]], Ranges]:
        """The ids of an answer: text and pictures up to <eos>, without other speakers, masked grids and gaps.

        Args:
            plans: the answer may begin with a plan in words, after which the answer proper follows, or nothing.
        """
        others = self.specials("user", "assistant", "plan", "edit", "hole")
        follow = self.follow(prefix)

        def proper(ids: Sequence[int]) -> Ranges:
            return tuple(ids_ for ids_ in follow(ids) if ids_ not in others)

        return self.planned(proper([]), ("eos", "assistant"), proper) if plans else proper

    def planned(
        self, first: Ranges, ends: Sequence[str], after: Callable[[Sequence[int]], Ranges]
    ) -> Callable[[Sequence[int]], Ranges]:
        """The ids where a plan may come first: <plan>, its text, and the special token that ends it.

        Args:
            first: ids that may come instead of a plan.
            ends: special tokens that may end a plan.
            after: the ids after a plan that ends with <assistant>, or if there is no plan.
        """
        plan, assistant = self.vocabulary.special("plan"), self.vocabulary.special("assistant")
        begin, inside = (*first, *self.specials("plan")), (range(self.vocabulary.text_size), *self.specials(*ends))

        def allowed(ids: Sequence[int]) -> Ranges:
            if not ids:
                return begin
            return inside if ids[0] == plan and assistant not in ids else after(ids)

        return allowed

    def specials(self, *names: str) -> Ranges:
        """Special tokens as ranges of one id each."""
        return tuple(range(id_, id_ + 1) for id_ in map(self.vocabulary.special, names))


def codes(vocabulary: Vocabulary) -> Ranges:
    """All image codes: the ids allowed at each of the h·w steps of a picture of known size, if a cell is one code."""
    return (range(vocabulary.first_code, vocabulary.size),)


def text(vocabulary: Vocabulary) -> Ranges:
    """All text ids and <eos>: the ids allowed at each step of a caption."""
    return (range(vocabulary.text_size), range(vocabulary.special("eos"), vocabulary.special("eos") + 1))
