"""An engine that is timed, and what to expect of it before it has run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Task = TypeVar("Task")
Run = TypeVar("Run")


@dataclass(frozen=True)
class Peer(Generic[Task, Run]):
    """An engine.

    Attributes:
        load: takes what is to be done, and returns what does it.
        needs: packages.
        warming: a guess of the seconds until it is warm, on two idle cores.
        slower: a guess of its time, in times of lantu's for as many pictures.
    """

    load: Callable[[Task], Run]
    needs: Sequence[str] = ()
    warming: float = 0.0
    slower: float = 1.0
