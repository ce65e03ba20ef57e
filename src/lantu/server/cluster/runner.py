"""Runs the jobs of a server on a cluster.

A job's task advances here, on one thread with an event loop, and its effects are computed by replicas (``remote.py``).
Drafting and rendering of different jobs overlap, and so do a job's previews and its draft. An effect whose replica is
lost is computed again: it has its seed, so it gives the same ids or the same picture, and ids that were already
reported to the client are not reported twice.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL.Image import Image

from lantu.pipeline import Model
from lantu.server.cluster.deployed import Applications, Deployed, Stage
from lantu.server.cluster.metrics import ClusterMetrics
from lantu.server.cluster.reports import InOrder, at_once
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.worker.jobs import Done, Event, Failed, Job, Started
from lantu.server.worker.queue import Full, Queue
from lantu.server.worker.unavailable import DeadlineExceeded, Draining, Loading, QueueFull, ReplicaLost
from lantu.server.worker.wait_estimator import WaitEstimator
from lantu.server.worker.worker import QUIET_JOBS
from lantu.tasks.effects import Draft, Effect, Render
from lantu.tasks.preview import PARAMS
from lantu.tasks.run import known
from lantu.types import Picture

log = logging.getLogger("lantu.server")

RETRY_PAUSES_S = (0.0, 0.1, 0.5, 2.0)  # before an effect is computed again, while Ray Serve restarts replicas
WATCH_S = 1.0  # interval at which a new model is looked for


class ClusterRunner(threading.Thread):
    """A ``lantu.server.worker.runner.Runner`` whose jobs other processes compute.

    Attributes:
        deployed: the model that new requests get.
        tasks: running jobs, each with the coroutine that runs it.
        homes: the model of each job that has not ended.
        pins: the requests that may still submit jobs.
    """

    def __init__(self, applications: Applications, options: Options, metrics: Metrics):
        super().__init__(name="lantu cluster", daemon=True)
        self.applications, self.options, self.metrics = applications, options, metrics
        self.cluster_metrics = ClusterMetrics(metrics)
        self.front = secrets.token_hex(8)
        self.queue, self.estimator = Queue(options.max_waiting), WaitEstimator()
        self.lock = threading.Lock()  # guards the queue, the running jobs and their homes
        self.tasks: dict[Job, asyncio.Task[None]] = {}
        self.homes: dict[Job, Deployed] = {}
        self.pins: set[Pinned] = set()
        self.timers: dict[Job, asyncio.TimerHandle] = {}  # of waiting jobs, only used on this thread
        self.ready, self.stopped = threading.Event(), threading.Event()
        self.problem: BaseException | None = None
        self.draining = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.deployed: Deployed | None = None

    # Called by other threads.

    @property
    def model(self) -> Model:
        """The model that new requests get."""
        assert self.deployed, "only once it is ready"
        return self.deployed.model

    def now(self) -> "ClusterRunner | Pinned":
        """The runner of one request, with the model of this moment."""
        with self.lock:
            if self.deployed is None:
                return self
            pin = Pinned(self, self.deployed)
            self.pins.add(pin)
        return pin

    def release(self) -> None:
        """Of no effect; see ``Pinned``."""

    def submit(self, jobs: Sequence[Job], home: Deployed | None = None) -> None:
        """Queue all jobs of one request, or none of them.

        Args:
            home: the model that their tasks were made for.

        Raises:
            Draining, Loading, QueueFull: none was queued.
        """
        with self.lock:
            home = home or self.deployed
            if self.draining:
                raise Draining
            if home is None or self.loop is None:
                raise Loading
            try:
                self.queue.check(jobs[0].client, len(jobs))
            except Full as problem:
                first = list(self.queue)[: len(jobs)]
                raise QueueFull(self.estimator.seconds([*self.tasks, *first])) from problem
            self.queue.put(jobs)
            self.homes.update(dict.fromkeys(jobs, home))
            self.metrics.queue.set(len(self.queue))
        self.loop.call_soon_threadsafe(self.accept, jobs)

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancel jobs, waiting or running."""
        for job in jobs:
            with self.lock:
                job.cancelled = True
                task = self.tasks.get(job)
                if self.queue.remove(job):
                    self.homes.pop(job, None)
                    self.metrics.cancelled.inc()
                self.metrics.queue.set(len(self.queue))
            if self.loop and not self.stopped.is_set():
                self.loop.call_soon_threadsafe(self.leave, job, task)

    def place(self, job: Job) -> tuple[int, float] | None:
        """The number of jobs ahead of a waiting one, and the seconds until it starts; None once it has started."""
        with self.lock:
            ahead: list[Job] = []
            for other in self.queue:
                if other is job:
                    return len(ahead), self.estimator.seconds([*self.tasks, *ahead])
                ahead.append(other)
        return None

    def drain(self) -> None:
        """Accept no more jobs."""
        with self.lock:
            self.draining = True

    @property
    def idle(self) -> bool:
        """Whether no job is running or waiting."""
        with self.lock:
            return not (self.queue or self.tasks)

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread; all jobs fail."""
        self.drain()
        self.stopped.set()
        self.join(timeout_s)

    async def metrics_page(self) -> bytes:
        """All metrics of this process and of all replicas, in Prometheus' text format."""
        deployed, loop = self.deployed, self.loop
        numbers = []
        if deployed and loop:
            call = asyncio.run_coroutine_threadsafe(deployed.numbers(), loop)
            numbers = await asyncio.wrap_future(call)
        return self.cluster_metrics.page(numbers)

    # Called on this thread.

    def run(self) -> None:
        """Open the model, then run jobs until ``stop`` is called."""
        started = time.monotonic()
        try:
            self.deployed = self.applications.open(self.stopped)
        except BaseException as problem:
            self.problem = problem
            log.error("the model can't be served: %s", problem)
            return
        asyncio.run(self.serve(started))

    async def serve(self, started: float) -> None:
        """Run jobs, and change to a newer model when there is one."""
        self.loop = asyncio.get_running_loop()
        self.ready.set()
        seconds = round(time.monotonic() - started, 2)
        log.info("ready", extra={"fields": {"model": self.model.name, "seconds": seconds}})
        watching = asyncio.create_task(self.watch())
        while not self.stopped.is_set():
            await asyncio.sleep(0.1)
        watching.cancel()
        with self.lock:
            waiting, running = list(self.queue), list(self.tasks.values())
        for job in waiting:
            self.end(job, Failed(Draining()))
        for task in running:
            task.cancel()
        await asyncio.gather(watching, *running, return_exceptions=True)

    async def watch(self) -> None:
        """Tell the replicas whose models are in use, and look for a newer one."""
        held: set[Deployed] = set()
        while True:
            try:
                assert self.deployed
                newest = await asyncio.to_thread(self.applications.newest, self.deployed)
                if newest is not self.deployed:
                    log.info("model changed", extra={"fields": {"from": self.model.name, "to": newest.model.name}})
                self.deployed = newest
                for stage, count in newest.replicas.items():
                    self.cluster_metrics.replicas.labels(stage).set(count)
                with self.lock:
                    homes = {newest, *self.homes.values(), *(pin.deployed for pin in self.pins)}
                await asyncio.gather(*(home.ask("hold", self.front) for home in homes))
                await asyncio.gather(*(home.ask("release", self.front) for home in held - homes))
                held = homes
            except Exception as problem:  # the cluster doesn't answer now; requests go on with what is known
                log.warning("the cluster doesn't answer: %s", problem)
            await asyncio.sleep(WATCH_S)

    def accept(self, jobs: Sequence[Job]) -> None:
        """Start what may start of jobs that were queued, and end them at their deadlines."""
        assert self.loop
        for job in jobs:
            self.timers[job] = self.loop.call_later(job.deadline - time.monotonic(), self.expire, job)
        self.start_waiting()

    def expire(self, job: Job) -> None:
        """End a job that waits past its deadline; a running one ends itself."""
        with self.lock:
            waits = self.queue.remove(job)
        if waits:
            self.metrics.cancelled.inc()
            self.end(job, Failed(DeadlineExceeded()))

    def leave(self, job: Job, task: "asyncio.Task[None] | None") -> None:
        """Free what a cancelled job holds here."""
        if task:
            task.cancel()
        elif timer := self.timers.pop(job, None):
            timer.cancel()

    def start_waiting(self) -> None:
        """Start waiting jobs while there is room."""
        assert self.loop
        assert self.deployed
        room = self.options.max_running * max(1, *self.deployed.replicas.values())
        while True:
            with self.lock:
                job = self.queue.first()
                if job is None or len(self.tasks) >= room:
                    break
                self.queue.pop()
                task = self.tasks[job] = self.loop.create_task(self.run_job(job, self.homes[job]))
                task.add_done_callback(lambda _, job=job: self.forget(job))
                self.metrics.queue.set(len(self.queue))
        self.metrics.running.set(len(self.tasks))

    def forget(self, job: Job) -> None:
        """End a job whose coroutine was cancelled before it began."""
        if job in self.tasks:
            self.metrics.cancelled.inc()
            self.end(job, Failed(DeadlineExceeded()))

    async def run_job(self, job: Job, home: Deployed) -> None:
        """Advance a job's task to its end."""
        job.started_at = time.monotonic()
        self.metrics.wait_s.observe(job.started_at - job.submitted_at)
        job.notify(Started())
        reports = InOrder(job.notify)
        end: Event = Failed(DeadlineExceeded())
        try:
            async with asyncio.timeout(job.deadline - time.monotonic()):
                while job.effect is not None:
                    job.advance(await self.perform(job, home, job.effect, reports))
                await reports.sent()
            end = Done(job.result, job.image_tokens, job.text_tokens)
        except (asyncio.CancelledError, TimeoutError, DeadlineExceeded):
            self.metrics.cancelled.inc()
        except Exception as problem:
            end = Failed(problem)
        finally:
            reports.drop()
            self.end(job, end)

    async def perform(self, job: Job, home: Deployed, effect: Effect, reports: InOrder) -> Any:
        """The result of a job's effect."""
        started = time.monotonic()
        if isinstance(effect, Draft):
            ids = await self.draft(job, home, effect, reports)
            job.drafted_at = time.monotonic()
            count = sum(map(len, ids))
            job.count_tokens(count)
            self.estimator.add_drafted(count, (job.drafted_at - started) / len(self.tasks))
            return ids
        if isinstance(effect, Render):
            picture: Picture = await self.surely(home.rendering, effect, job.deadline)
            now = time.monotonic()
            self.estimator.add_rendered(effect.cells, (now - started) / len(self.tasks))
            return job.timed(picture, now)
        return await self.surely(home.drafting, effect, job.deadline)

    async def draft(self, job: Job, home: Deployed, effect: Draft, reports: InOrder) -> list[list[int]]:
        """The ids of a draft; progress is reported while it runs, each of its marks once."""
        reported = 0

        def on_ids(ids: list[int]) -> None:
            nonlocal reported
            reported = known(ids)
            quiet = len(self.tasks) <= QUIET_JOBS * max(1, home.replicas["Rendering"])
            report, grid = job.report(effect, ids, quiet)
            if grid is None or not home.previews:
                reports.send(at_once(report(None)))
            else:
                reports.send(self.previewed(job, home, report, grid, effect.requests[0].seed))

        def left() -> dict[str, Any]:
            return {"marks": frozenset(mark for mark in job.progress_marks if mark > reported), "on_ids": on_ids}

        return await self.surely(home.drafting, effect, job.deadline, left)

    async def previewed(
        self, job: Job, home: Deployed, report: Callable[[Image | None], Event], codes_hw: np.ndarray, seed: int
    ) -> Event:
        """A report with its preview."""
        picture = await self.surely(home.rendering, Render(codes_hw, seed, PARAMS), job.deadline)
        self.metrics.previews.inc()
        return report(picture.image)

    async def surely(
        self, stage: Stage, effect: Effect, deadline: float, more: Callable[[], dict[str, Any]] = dict
    ) -> Any:
        """The result of an effect, computed again if its replica is lost.

        Args:
            more: other arguments of ``Stage.perform``, of each attempt.

        Raises:
            ReplicaLost: every attempt lost its replica.
        """
        for pause_s in RETRY_PAUSES_S:
            try:
                return await stage.perform(effect, deadline, **more())
            except ReplicaLost as problem:
                name = "Rendering" if isinstance(effect, Render) else "Drafting"
                self.cluster_metrics.retries.labels(name).inc()
                log.warning("a replica was lost", extra={"fields": {"stage": name, "problem": str(problem)}})
            await asyncio.sleep(pause_s)
        return await stage.perform(effect, deadline, **more())

    def end(self, job: Job, event: Event) -> None:
        """Free what a job holds, send its client the last event, and start others."""
        job.effect = None
        job.task.close()
        if timer := self.timers.pop(job, None):
            timer.cancel()
        with self.lock:
            self.queue.remove(job)
            self.tasks.pop(job, None)
            self.homes.pop(job, None)
        self.metrics.running.set(len(self.tasks))
        job.notify(event)
        if not self.stopped.is_set():
            self.start_waiting()


class Pinned:
    """The runner of one request: a ``Runner`` whose model does not change."""

    def __init__(self, runner: ClusterRunner, deployed: Deployed):
        self.runner, self.deployed = runner, deployed
        self.ready, self.model = runner.ready, deployed.model
        self.cancel, self.place, self.metrics_page = runner.cancel, runner.place, runner.metrics_page
        self.start, self.stop, self.drain = runner.start, runner.stop, runner.drain

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs whose tasks were made for this model; see ``ClusterRunner.submit``."""
        self.runner.submit(jobs, self.deployed)

    def now(self) -> "Pinned":
        """Itself."""
        return self

    def release(self) -> None:
        """The request uses the model no more, except for its jobs."""
        with self.runner.lock:
            self.runner.pins.discard(self)

    @property
    def problem(self) -> BaseException | None:
        """Why no model could be served."""
        return self.runner.problem

    @property
    def draining(self) -> bool:
        """Whether the server accepts no more jobs."""
        return self.runner.draining

    @property
    def idle(self) -> bool:
        """Whether no job is running or waiting."""
        return self.runner.idle
