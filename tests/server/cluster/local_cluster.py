"""A cluster without Ray: replicas in this process, which can be lost on purpose."""

import asyncio
import contextlib
import threading
import time
from dataclasses import replace

from lantu.pipeline import Model
from lantu.server import app as apps
from lantu.server.cluster.deployed import Deployed
from lantu.server.cluster.packing import pack, unpack
from lantu.server.cluster.remote import weight_of
from lantu.server.cluster.replicas import Drafting, Rendering
from lantu.server.cluster.runner import ClusterRunner
from lantu.server.cluster.settings import Settings
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.worker.unavailable import ReplicaLost
from lantu.tasks.effects import Draft


class LocalStage:
    """A stage with one replica.

    Attributes:
        lose: gives for each call after how many of its answers the replica is lost; None for never.
        calls: effects that were sent, lost ones too.
        gate: calls wait until it is set.
    """

    def __init__(self, replica, model):
        self.replica, self.model = replica, model
        self.lose, self.calls, self.gate = (lambda call: None), [], threading.Event()
        self.gate.set()

    async def perform(self, effect, deadline, marks=frozenset(), on_ids=None):
        left = self.lose(len(self.calls))
        self.calls.append(effect)
        while not self.gate.is_set():
            await asyncio.sleep(0.01)
        if isinstance(effect, Draft):
            effect = replace(effect, partial=None, sketch=None)
        packed = pack(effect, self.model)
        how = {"weight": weight_of(effect), "left_s": deadline - time.monotonic()}
        async with contextlib.aclosing(self.replica.follow(packed, marks, **how)) as answers:
            async for answer in answers:
                if left == 0:
                    raise ReplicaLost("on purpose")
                left = None if left is None else left - 1
                kind, value = unpack(answer, self.model)
                if kind == "failed":
                    raise value
                if kind == "done":
                    return value
                on_ids(value)

    async def ask(self, method, *arguments):
        if method == "numbers":
            from lantu.server.cluster.metrics import numbers_of

            name = type(self.replica).__name__
            return [numbers_of(self.replica.metrics, name.lower(), name)]
        return [await getattr(self.replica, method)(*arguments)]


class LocalApplications:
    """One model, or the next ones that ``put`` gives."""

    def __init__(self, model):
        self.deployed = None
        self.put(model)

    def put(self, path):
        model = Model.load(path, "cpu")
        settings = Settings(str(path), model.digest)
        stages = [LocalStage(each, model) for each in (Drafting(settings, None), Rendering(settings))]
        self.deployed = Deployed(f"lantu-{model.digest}", time.time(), model, *stages, previews=model.parts.previews)
        return self.deployed

    def open(self, stopped):
        return self.deployed

    def newest(self, deployed):
        return self.deployed


def make(applications, **options):
    """A server's app on this cluster, and its options."""
    options, metrics = Options(port=0, **options), Metrics()
    return apps.build(ClusterRunner(applications, options, metrics), options, metrics), options
