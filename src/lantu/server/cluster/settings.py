"""What the replicas of a cluster serve, and how many there are."""

from dataclasses import dataclass
from typing import Any

from lantu.errors import LantuError


@dataclass(frozen=True)
class Settings:
    """A model as it is deployed.

    Attributes:
        model: its folder, name or hub id; each node finds it by itself.
        digest: identifies its weights; a node that has others refuses to serve them.
        device: "cpu" or "cuda".
        backend: what runs the language model, one of ``lantu.models.loader.BACKENDS``.
        together: the most drafts or pictures that one replica computes at once.
        drain_s: how long a replica that is taken away may go on computing.
    """

    model: str | None
    digest: str
    device: str = "cpu"
    backend: str = "native"
    together: int = 32
    drain_s: float = 60.0


@dataclass(frozen=True)
class Scale:
    """How many replicas there are, and what each of them takes.

    Attributes:
        drafters, renderers: the least and the most replicas of each stage; Ray Serve chooses between them by load.
        cpus, gpus: processors of each replica; a fraction of a GPU shares it.
    """

    drafters: tuple[int, int] = (1, 1)
    renderers: tuple[int, int] = (1, 1)
    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def most_cpus(self) -> float:
        """Processors that all replicas take at the most."""
        return self.cpus * (self.drafters[1] + self.renderers[1])


def read_count(text: str, option: str) -> tuple[int, int]:
    """The least and the most replicas, from "2" or "1-4".

    Raises:
        LantuError: it is neither.
    """
    least, dash, most = text.partition("-")
    if least.isdecimal() and (most.isdecimal() if dash else True):
        low, high = int(least), int(most) if dash else int(least)
        if 1 <= low <= high:
            return low, high
    raise LantuError(f"{option} can't be {text!r}", "give a number, as 2, or the least and the most, as 1-4")


def count_options(count: tuple[int, int], target: int) -> dict[str, Any]:
    """A count as Ray Serve's options of a deployment.

    Args:
        target: calls of one replica above which another is started.
    """
    least, most = count
    if least == most:
        return {"num_replicas": least}
    limits = {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": target}
    return {"autoscaling_config": limits}
