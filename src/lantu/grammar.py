"""Which ids may come next: a state machine for the documents of ``lantu.document``.

    document  <bos> (text | picture)… <eos>, where a text may follow a picture after <en> or <zh>
    picture   <boi> height width, exactly height · width codes, <eoi>

States are values and nothing is remembered elsewhere, so that any state can be kept, compared and gone on from.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lantu.vocabulary import MAX_SIDE, Vocabulary

Ranges = tuple[range, ...]
Place = Literal["start", "text", "height", "width", "codes", "close", "after picture", "marked", "end"]


@dataclass(frozen=True)
class State:
    """Where in a document.

    Attributes:
        place: what was read last, or is to come.
        height: in codes, of the picture whose width is to come.
        left: codes to come in the picture.
    """

    place: Place = "start"
    height: int = 0
    left: int = 0


START = State()


@dataclass(frozen=True)
class Grammar:
    """The rules of one vocabulary.

    Args:
        max_side: of a picture, in codes.
    """

    vocabulary: Vocabulary
    max_side: int = MAX_SIDE

    def allowed(self, state: State) -> Ranges:
        """The ids that may come next, in ranges of rising order; none after the end."""
        v = self.vocabulary
        match state.place:
            case "start":
                return self.marks("bos")
            case "text":
                return (range(v.text_size), *self.marks("eos", "boi"))
            case "after picture":
                return (range(v.text_size), *self.marks("eos", "boi", "en", "zh"))
            case "marked":
                return (range(v.text_size),)
            case "height" | "width":
                return (range(v.side(1), v.side(self.max_side) + 1),)
            case "codes":
                return codes(v)
            case "close":
                return self.marks("eoi")
            case "end":
                return ()

    def advance(self, state: State, id_: int) -> State:
        """The state after one more id.

        Raises:
            ValueError: the id may not come here.
        """
        if not any(id_ in ids for ids in self.allowed(state)):
            raise ValueError(f"id {id_} may not come at {state.place!r}")
        match state.place:
            case "height":
                return State("width", height=self.vocabulary.side_length(id_) or 0)
            case "width":
                return State("codes", left=state.height * (self.vocabulary.side_length(id_) or 0))
            case "codes":
                return State("codes", left=state.left - 1) if state.left > 1 else State("close")
            case "close":
                return State("after picture")
        if id_ < self.vocabulary.text_size:
            return State("text")
        after: dict[str, Place] = {"bos": "text", "eos": "end", "boi": "height", "en": "marked", "zh": "marked"}
        return State(next(place for mark, place in after.items() if id_ == self.vocabulary.mark(mark)))

    def read(self, ids: Iterable[int], state: State = START) -> State:
        """The state after several ids.

        Raises:
            ValueError: one of them may not come where it does.
        """
        for id_ in ids:
            state = self.advance(state, id_)
        return state

    def follow(self, prefix: Iterable[int]) -> Callable[[Sequence[int]], Ranges]:
        """What may come after a prefix, as a function of the ids drawn since: the form that the engine takes.

        Each id is read once: a draft asks with one id more each time, and starts again with none.
        """
        states = [self.read(prefix)]

        def allowed(ids: Sequence[int]) -> Ranges:
            del states[len(ids) + 1 :]
            for id_ in ids[len(states) - 1 :]:
                states.append(self.advance(states[-1], id_))
            return self.allowed(states[-1])

        return allowed

    def marks(self, *names: str) -> Ranges:
        return tuple(range(id_, id_ + 1) for id_ in map(self.vocabulary.mark, names))


def codes(vocabulary: Vocabulary) -> Ranges:
    """All image codes: what may come at each of the h·w steps of a picture whose size is given."""
    return (range(vocabulary.first_code, vocabulary.size),)


def text(vocabulary: Vocabulary) -> Ranges:
    """All text, or <eos>: what may come at each step of a caption."""
    return (range(vocabulary.text_size), range(vocabulary.mark("eos"), vocabulary.mark("eos") + 1))
