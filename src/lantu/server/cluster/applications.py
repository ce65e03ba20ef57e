"""Connects to Ray, deploys a model there, finds the newest, and replaces it without a refused request.

Each deployed model is an application of Ray Serve of its own. A newer one starts beside the one that is served; servers
then give it to new requests, and say which models their unfinished requests still use (``Stage.hold``); when no server
uses the older one, it is deleted.
"""

import logging
import math
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import RequestRouterConfig
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus

from lantu import kernels
from lantu.errors import LantuError
from lantu.models import hub
from lantu.models.loader import choose_backend
from lantu.pipeline import Model
from lantu.recipes.ray_cluster import join
from lantu.server.cluster.deployed import Deployed
from lantu.server.cluster.remote import RemoteStage
from lantu.server.cluster.replicas import About, Drafting, Rendering
from lantu.server.cluster.settings import Scale, Settings, count_options
from lantu.server.worker.worker import MAX_ROWS

log = logging.getLogger("lantu.server")

STAGES = (Drafting, Rendering)
PREFIX = "lantu-"  # of applications' names
NAMESPACE = "lantu"
POLL_S = 0.2
START_S = 900.0  # the most that a new model's replicas may take; large weights take minutes
WARN_S = 30.0  # of waiting for replicas
HEALTH_S = 2.0  # interval at which Ray Serve looks whether a replica lives
REPORT_S = 1.0  # interval at which replicas report what they have admitted


def connect(address: str | None, scale: Scale, start: bool = True) -> bool:
    """Connect to a cluster, or start one on this machine that ends with this process; returns whether it did.

    Args:
        address: of a cluster's head; None for ``$RAY_ADDRESS``, else a cluster of this machine.
        scale: what a new cluster must have room for.
        start: whether a cluster may be started where no address is given.

    Raises:
        LantuError: there is no cluster at the address, or none can be started.
    """
    # Ray only counts cores: with twice what may be taken, a new model finds room beside the old one at its largest.
    cpus = max(kernels.usable_cores(), math.ceil(2 * scale.most_cpus))
    how: dict[str, Any] = {"namespace": NAMESPACE, "logging_level": logging.WARNING}
    if not join(address, passing=True, start=start, cpus=cpus, **how):
        return False
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location="Disabled", logging_config={"log_level": "WARNING", "enable_access_log": False})
    return True


def settings_of(model: str | None, device: str, backend: str, together: int, drain_s: float) -> Settings:
    """What to deploy, checked as far as this machine can.

    Raises:
        ModelError, LantuError: there is no such model or backend here, or no GPU in the cluster.
    """
    folder = hub.find(model).check()
    has_gpu = bool(ray.cluster_resources().get("GPU"))
    if device == "cuda" and not has_gpu:
        raise LantuError("no node of the cluster has a GPU", "choose cpu, or leave it to auto")
    place = str(Path(model).expanduser().resolve()) if model and Path(model).expanduser().is_dir() else model
    device = "cuda" if has_gpu and device != "cpu" else "cpu"
    return Settings(place, folder.digest, device, choose_backend(backend), together, drain_s)


def application(settings: Settings, scale: Scale) -> serve.Application:
    """The two deployments of a model."""

    def deployment(stage: Any, count: tuple[int, int]) -> Any:
        router: dict[str, Any] = {
            "request_router_class": "lantu.server.cluster.router.AdmissionRouter",
            "request_router_kwargs": {"capacity": stage.capacity},
            "request_routing_stats_period_s": REPORT_S,
            "max_backoff_s": POLL_S,
        }
        made: Any = serve.deployment(stage)
        return made.options(
            name=stage.__name__,
            max_ongoing_requests=MAX_ROWS,
            ray_actor_options={"num_cpus": scale.cpus, "num_gpus": scale.gpus if settings.device == "cuda" else 0},
            health_check_period_s=HEALTH_S,
            graceful_shutdown_timeout_s=settings.drain_s,
            graceful_shutdown_wait_loop_s=POLL_S,
            request_router_config=RequestRouterConfig(**router),
            **count_options(count, max(1, settings.together // 2)),
        )

    rendering = deployment(Rendering, scale.renderers).bind(settings)
    return deployment(Drafting, scale.drafters).bind(settings, rendering)


@dataclass(frozen=True)
class Found:
    """An application of lantu's on the cluster.

    Attributes:
        since: when it was deployed last, in seconds since 1970.
        message: of Ray Serve, about what is wrong.
        replicas: number of each stage's replicas that run.
    """

    name: str
    since: float
    status: ApplicationStatus
    message: str
    replicas: dict[str, int]

    @property
    def runs(self) -> bool:
        """Whether all its replicas run."""
        return self.status == ApplicationStatus.RUNNING

    @property
    def failed(self) -> bool:
        """Whether its replicas could not be started."""
        return self.status == ApplicationStatus.DEPLOY_FAILED


def found() -> list[Found]:
    """The applications of lantu's on the cluster, the newest last."""
    all_ = [
        Found(
            name,
            each.last_deployed_time_s,
            each.status,
            each.message,
            {stage: running(about.replica_states) for stage, about in each.deployments.items()},
        )
        for name, each in serve.status().applications.items()
        if name.startswith(PREFIX) and each.status != ApplicationStatus.DELETING
    ]
    return sorted(all_, key=lambda each: each.since)


def running(states: Mapping[Any, int]) -> int:
    """How many replicas run, of a number for each state."""
    return sum(count for state, count in states.items() if state == "RUNNING")


def deploy(settings: Settings, scale: Scale, name: str = "") -> str:
    """Deploy a model, without waiting for it; returns the application's name.

    Args:
        name: of an application with the same settings, to change its number of replicas.
    """
    name = name or f"{PREFIX}{settings.digest[:8]}-{secrets.token_hex(3)}"
    quiet = {"log_level": "WARNING", "enable_access_log": False}
    target = serve.RunTarget(application(settings, scale), name=name, route_prefix=None, logging_config=quiet)
    serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
    return name


def wait_until_runs(name: str, stopped: threading.Event, most_s: float = float("inf")) -> Found:
    """Wait until all replicas of an application run; returns it.

    Args:
        most_s: how long at most.

    Raises:
        LantuError: they can't be started, or not so soon, or ``stopped`` was set.
    """
    started = warned = time.monotonic()
    while not stopped.wait(POLL_S):
        app = next((each for each in found() if each.name == name), None)
        if app and app.runs:
            return app
        if app is None or app.failed:
            message = app.message if app else "it was deleted"
            raise LantuError(f"Ray Serve could not start {name} ({reason(message)})", "see the logs of its replicas")
        if time.monotonic() - started > most_s:
            what = f"not all replicas of {name} run after {most_s:.0f} s ({app.replicas})"
            raise LantuError(what, "see ray status: it may have no room for them beside the old ones")
        if time.monotonic() - warned > WARN_S:
            warned = time.monotonic()
            log.warning("waiting for replicas", extra={"fields": {"running": app.replicas, "message": app.message}})
    raise LantuError(f"{name} was stopped before it ran")


def reason(message: str) -> str:
    """The line of Ray Serve's message that says most: the last of a traceback."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error: " in line), lines[-1] if lines else "it gives no reason")


def open_deployed(app: Found) -> Deployed:
    """An application as the runner uses it; its weights stay with the replicas.

    Raises:
        LantuError: this machine has not the model that its replicas serve.
    """
    served = about(app.name)
    folder = hub.find(served.settings.model).check()
    if folder.digest != served.settings.digest:
        what = f"the cluster serves {served.settings.digest}, and {folder.path} is {folder.digest}"
        raise LantuError(what, "give this machine the same folder")
    model = Model(folder, "cpu", served.settings.backend)
    stages = [RemoteStage(serve.get_deployment_handle(stage.__name__, app.name), model) for stage in STAGES]
    return Deployed(app.name, app.since, model, stages[0], stages[1], served.previews, app.replicas)


def about(name: str) -> About:
    """What an application serves, as one of its replicas says."""
    handle = serve.get_deployment_handle(Drafting.__name__, name).options(method_name="about")
    return handle.remote().result(timeout_s=60)


class RayApplications:
    """``lantu.server.cluster.deployed.Applications`` on Ray Serve.

    Args:
        settings: what to deploy if nothing is served.
        named: whether the user has named the model, so that no other may be served.
        scale: None to leave the number of replicas as it is.
    """

    def __init__(self, settings: Settings, named: bool, scale: Scale | None):
        self.settings, self.named, self.scale = settings, named, scale

    def open(self, stopped: threading.Event) -> Deployed:
        """The newest application that runs or is being started; if there is none, one of the settings."""
        apps = found()
        waiting = [each for each in apps if not each.failed]
        app = next((each for each in reversed(apps) if each.runs), waiting[-1] if waiting else None)
        if app is None:
            for failed in apps:  # nobody uses it, and it would go on trying
                serve.delete(failed.name, _blocking=False)
            name = deploy(self.settings, self.scale or Scale())
            log.info("deploying", extra={"fields": {"application": name}})
        else:
            name = app.name
            if self.scale:
                wait_until_runs(name, stopped)  # only replicas say what they serve
                deploy(about(name).settings, self.scale, name)
        deployed = open_deployed(wait_until_runs(name, stopped))
        if self.named and deployed.model.digest != self.settings.digest:
            what = f"the cluster serves another model, {deployed.model.name}"
            raise LantuError(what, "leave out --model to serve it too, or replace it with --update")
        return deployed

    def newest(self, deployed: Deployed) -> Deployed:
        """See ``Applications``; an older model is never returned to."""
        apps = found()
        newer = [each for each in apps if each.runs and each.name != deployed.name and each.since > deployed.since]
        if newer:
            return open_deployed(newer[-1])
        for each in apps:
            if each.name == deployed.name:
                deployed.since, deployed.replicas = each.since, each.replicas
        return deployed


def update(settings: Settings, scale: Scale, stopped: threading.Event) -> str:
    """Replace what is served, without a refused request; returns the new application's name.

    The new replicas run before the old ones end, so the cluster needs room for both.

    Raises:
        LantuError: the new model can't be started; the old one goes on.
    """
    before = found()
    if not before:
        raise LantuError("nothing is served on this cluster", "start it: lantu serve --ray")
    name = deploy(settings, scale)
    try:
        wait_until_runs(name, stopped, START_S)
    except BaseException:
        serve.delete(name, _blocking=False)  # replicas that never started take as long as busy ones to be given up
        raise
    for app in before:
        while not stopped.wait(1.0) and holders(app.name):
            pass
        serve.delete(app.name, _blocking=False)
    return name


def holders(name: str) -> set[str]:
    """The servers that still use an application's model; none where no replica is left to answer."""
    call = serve.get_deployment_handle(Drafting.__name__, name).broadcast("holders")
    try:
        answers = call.results(timeout_s=30, return_exceptions=True)
    except (RayServeException, RayError):
        return set()
    return {front for answer in answers if isinstance(answer, list) for front in answer}
