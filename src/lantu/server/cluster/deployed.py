"""A model as the replicas of a cluster serve it: its two stages, as the runner sees them."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from lantu.pipeline import Model
from lantu.server.cluster.metrics import Numbers
from lantu.tasks.effects import Effect

OnIds = Callable[[list[int]], None]


class Stage(Protocol):
    """Computes effects."""

    async def perform(
        self, effect: Effect, deadline: float, marks: frozenset[int] = frozenset(), on_ids: OnIds | None = None
    ) -> Any:
        """The result of an effect.

        Args:
            deadline: time.monotonic() after which the result is not needed.
            marks: numbers of ids after which ``on_ids`` is called with the ids so far.

        Raises:
            ReplicaLost: the replica is lost; another may compute it.
            Exception: what computing it raised.
        """
        ...

    async def ask(self, method: str, *arguments: str) -> list[Any]:
        """Call a method of all replicas; exceptions stand among the results."""
        ...


@dataclass(eq=False)
class Deployed:
    """A model that replicas serve.

    Attributes:
        name: of Ray Serve's application.
        since: when it was deployed last, in seconds since 1970.
        model: without weights: it makes requests and reads ids.
        previews: whether drafts have previews.
        replicas: number of each stage's replicas that run.
    """

    name: str
    since: float
    model: Model
    drafting: Stage
    rendering: Stage
    previews: bool
    replicas: dict[str, int] = field(default_factory=lambda: {"Drafting": 1, "Rendering": 1})

    async def numbers(self) -> list[Numbers]:
        """The metrics of all replicas that answer."""
        return [each for each in await self.ask("numbers") if isinstance(each, Numbers)]

    async def ask(self, method: str, *arguments: str) -> list[Any]:
        """Call a method of all replicas of both stages; what does not answer is left out."""
        calls = (stage.ask(method, *arguments) for stage in (self.drafting, self.rendering))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        return [each for answer in answers if isinstance(answer, list) for each in answer]


class Applications(Protocol):
    """What is deployed on the cluster. Its methods block."""

    def open(self, stopped: threading.Event) -> Deployed:
        """The model to serve, deployed if it isn't yet, as soon as replicas of both stages run.

        Raises:
            LantuError: it can't be deployed.
        """
        ...

    def newest(self, deployed: Deployed) -> Deployed:
        """The model that was deployed last and runs; the same object, with its number of replicas, if it still is."""
        ...
