"""What ``lantu serve --ray`` does beyond ``lantu serve``."""

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lantu.commands import terminal
from lantu.errors import LantuError
from lantu.recipes.ray_cluster import check_installed

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lantu.server.cluster.settings import Scale
    from lantu.server.options import Options


@dataclass(frozen=True)
class Wanted:
    """What the user wants of the cluster.

    Attributes:
        drafters, renderers: numbers of replicas, as "2" or "1-4"; None if the user doesn't say.
        cpus, gpus: of each replica; None for one.
        address: of the cluster's head; None for the one of this machine.
    """

    drafters: str | None = None
    renderers: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    address: str | None = None

    @property
    def scale(self) -> "Scale":
        """The numbers of replicas, and what each takes.

        Raises:
            LantuError: a number can't be read.
        """
        from lantu.server.cluster.settings import Scale, read_count

        drafters = read_count(self.drafters or "1", "--drafters")
        renderers = read_count(self.renderers or "1", "--renderers")
        cpus, gpus = (1.0 if count is None else count for count in (self.cpus, self.gpus))
        return Scale(drafters, renderers, cpus, gpus)

    @property
    def sets_replicas(self) -> bool:
        """Whether the user says how many replicas there are, or what each of them takes."""
        return replace(self, address=None) != Wanted()


def make(model: str | None, device: str, backend: str, options: "Options", wanted: Wanted) -> "FastAPI":
    """The server of a model on a cluster, connected to it.

    Raises:
        LantuError: there is no such cluster or model.
    """
    check_installed()
    scale = wanted.scale
    from lantu.server import app
    from lantu.server.cluster import applications
    from lantu.server.cluster.runner import ClusterRunner
    from lantu.server.metrics import Metrics

    applications.connect(wanted.address, scale)
    settings = applications.settings_of(model, device, backend, options.max_running, options.drain_s)
    metrics = Metrics()
    deployed = applications.RayApplications(settings, model is not None, scale if wanted.sets_replicas else None)
    return app.build(ClusterRunner(deployed, options, metrics), options, metrics)


def update(model: str | None, device: str, backend: str, options: "Options", wanted: Wanted) -> None:
    """Replace the model that the cluster serves.

    Raises:
        LantuError: nothing is served, or the new model can't be.
    """
    check_installed()
    scale = wanted.scale
    from lantu.server.cluster import applications

    if not applications.connect(wanted.address, scale, start=False):
        raise LantuError("there is no Ray cluster on this machine", "give --ray-address, or start: lantu serve --ray")
    settings = applications.settings_of(model, device, backend, options.max_running, options.drain_s)
    name = applications.update(settings, scale, threading.Event())
    terminal.say(f"lantu: the cluster serves {model or 'the shipped model'} now, as {name}")
