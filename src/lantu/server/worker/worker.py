"""The single thread that computes. Each step forwards all drafts once, then renders one group of pictures.

Jobs (``worker.jobs``) come from the queue. The drafts of all running jobs go through the engine together, and pictures
that are ready at the same time are rendered as a group. Between two steps, cancelled jobs leave and waiting ones start.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lantu.pipeline import Model
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.worker.jobs import Done, Event, Failed, Job, Started
from lantu.server.worker.queue import Full, Queue
from lantu.server.worker.unavailable import DeadlineExceeded, Draining, Loading, QueueFull
from lantu.server.worker.wait_estimator import WaitEstimator
from lantu.tasks.effects import Compute, Draft, Render
from lantu.tasks.preview import PARAMS
from lantu.tasks.run import cancel_drafts, known, render_group, step_drafters, take_ids

log = logging.getLogger("lantu.server")

MAX_ROWS = 64  # of the engine's batch
MAX_RENDERED_CODES = 512  # per step, because drafts wait while a group is rendered
QUIET_JOBS = 4  # while no more are running, there is time for optional previews


class Worker(threading.Thread):
    """Runs submitted jobs.

    Args:
        load: opens the model; called on this thread.

    Attributes:
        running: jobs that have started and not ended.
        due_progress: progress to report after the current step: the job, its draft, and the token ids so far.
        ready: set once the model is loaded.
        problem: why the model could not be loaded.
        step_tokens: number of tokens drafted in the current step.
    """

    def __init__(self, load: Callable[[], Model], options: Options, metrics: Metrics):
        super().__init__(name="lantu worker", daemon=True)
        self.load, self.options, self.metrics = load, options, metrics
        self.queue, self.estimator = Queue(options.max_waiting), WaitEstimator()
        self.changed = threading.Condition()  # guards the queue and the running jobs
        self.running: list[Job] = []
        self.due_progress: list[tuple[Job, Draft, list[int]]] = []
        self.ready = threading.Event()
        self.problem: BaseException | None = None
        self.draining = self.stopping = False
        self.step_tokens = 0
        metrics.rows_all.set(MAX_ROWS)

    # Called by other threads.

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue all jobs of one request, or none of them.

        Raises:
            Draining, Loading, QueueFull: none was queued.
        """
        with self.changed:
            if self.draining:
                raise Draining
            if not self.ready.is_set():
                raise Loading
            try:
                self.queue.check(jobs[0].client, len(jobs))
            except Full as problem:
                # There is room again once as many waiting jobs have started.
                first = list(self.queue)[: len(jobs)]
                raise QueueFull(self.estimator.seconds([*self.running, *first])) from problem
            self.queue.put(jobs)
            self.metrics.queue.set(len(self.queue))
            self.changed.notify()

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancel jobs; running ones leave before the next step."""
        with self.changed:
            for job in jobs:
                job.cancelled = True
                if self.queue.remove(job):
                    self.metrics.cancelled.inc()
            self.metrics.queue.set(len(self.queue))
            self.changed.notify()

    def place(self, job: Job) -> tuple[int, float] | None:
        """The number of jobs ahead of a waiting one, and the seconds until it starts; None once it has started."""
        with self.changed:
            ahead: list[Job] = []
            for other in self.queue:
                if other is job:
                    return len(ahead), self.estimator.seconds([*self.running, *ahead])
                ahead.append(other)
        return None

    def now(self) -> "Worker":
        """Itself: it has one model."""
        return self

    def release(self) -> None:
        """Of no effect: the model stays."""

    async def metrics_page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return self.metrics.text()

    def drain(self) -> None:
        """Accept no more jobs."""
        with self.changed:
            self.draining = True

    @property
    def idle(self) -> bool:
        """Whether no job is running or waiting."""
        with self.changed:
            return not (self.queue or self.running)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop the thread; all jobs fail."""
        with self.changed:
            self.draining = self.stopping = True
            self.changed.notify()
        self.join(timeout_s)

    # Called on this thread.

    def run(self) -> None:
        """Load the model, then run jobs until ``stop`` is called."""
        try:
            self.model = self.load()
            self.prepare()
        except BaseException as problem:
            self.problem = problem
            log.error("the model can't be loaded: %s", problem)
            return
        self.ready.set()
        while self.wait():
            try:
                self.step()
            except Exception as problem:  # a fault of ours: running jobs fail, waiting ones go on
                log.exception("a step failed")
                for job in list(self.running):
                    self.end(job, Failed(problem))
        for job in [*self.queue, *self.running]:
            self.end(job, Failed(Draining()))

    def prepare(self) -> None:
        """Draw once, so that the first request finds everything loaded and waits can be estimated.

        Raises:
            LantuError: memory is too short for drafting and rendering at the same time.
        """
        self.model.parts.check_both()
        started = time.monotonic()
        picture = self.model.draw("a cat", seed=0)
        self.estimator.add_drafted(picture.cells, picture.timings_ms["plan"] / 1000)
        self.estimator.add_rendered(picture.cells, picture.timings_ms["render"] / 1000)
        log.info("ready", extra={"fields": {"model": self.model.name, "seconds": round(time.monotonic() - started, 2)}})

    def wait(self) -> bool:
        """Sleep until there is work; False when the thread is to stop."""
        with self.changed:
            while not (self.queue or self.running or self.stopping):
                self.changed.wait()
            return not self.stopping

    def step(self) -> None:
        """Forward all drafts once, and do what has become possible."""
        self.remove_cancelled()
        self.start_waiting()
        self.draft()
        self.report_progress()
        self.render()

    def remove_cancelled(self) -> None:
        """End cancelled jobs and those past their deadline."""
        now = time.monotonic()
        with self.changed:
            expired = [job for job in self.queue if job.deadline < now]
        for job in [*self.running, *expired]:
            if job.cancelled or job.deadline < now:
                self.metrics.cancelled.inc()
                self.end(job, Failed(DeadlineExceeded()))

    def start_waiting(self) -> None:
        """Start waiting jobs while there is room."""
        while True:
            with self.changed:
                job = self.queue.first()
                full = self.rows and job is not None and self.rows + job.rows > MAX_ROWS
                if job is None or len(self.running) >= self.options.max_running or full:
                    break
                self.queue.pop()
                self.running.append(job)
                self.metrics.queue.set(len(self.queue))
            job.started_at = time.monotonic()
            self.metrics.wait_s.observe(job.started_at - job.submitted_at)
            job.notify(Started())
            self.perform(job)
        self.measure()

    def measure(self) -> None:
        """Set the metrics of what is running."""
        self.metrics.running.set(len(self.running))
        self.metrics.rows.set(self.rows)
        self.metrics.pairs.set(sum(job.rows == 2 for job in self.running))

    @property
    def rows(self) -> int:
        """Rows of the engine's batch that are in use."""
        return sum(job.rows for job in self.running)

    def advance(self, job: Job, value: Any) -> None:
        """Send a job's task the result of its effect, and perform the next one."""
        try:
            job.advance(value)
        except Exception as problem:
            self.end(job, Failed(problem))
            return
        self.perform(job)

    def perform(self, job: Job) -> None:
        """Perform a job's effect: call its function, or submit its drafts. Pictures wait for ``render``."""
        try:
            while isinstance(job.effect, Compute):
                job.advance(job.effect.result())
            if isinstance(job.effect, Draft):
                self.submit_drafts(job, job.effect)
        except Exception as problem:
            self.end(job, Failed(problem))
            return
        if job.effect is None:
            self.end(job, Done(job.result, job.image_tokens, job.text_tokens))

    def submit_drafts(self, job: Job, effect: Draft) -> None:
        """Submit an effect's requests to the engine."""
        parts, marks = self.model.parts, job.progress_marks
        drafter = parts.batched_drafter if effect.batched else parts.drafter

        def on_ids_of_request() -> Callable[[Sequence[int]], None]:
            last_count = 0  # of known ids; a drafter may add several at once

            def on_ids(ids: Sequence[int]) -> None:
                nonlocal last_count
                first, last_count = last_count + 1, known(ids)
                self.step_tokens += last_count - first + 1
                if marks and marks.intersection(range(first, last_count + 1)):
                    self.due_progress.append((job, effect, list(ids)))

            return on_ids

        for request in effect.requests:  # those before one that is refused are cancelled with the job
            job.drafts.append((drafter, drafter.submit(request, on_ids_of_request())))

    def draft(self) -> None:
        """Run one step of the engine, and advance jobs whose drafts have ended."""
        drafting = [job for job in self.running if isinstance(job.effect, Draft)]
        if not drafting:
            return
        started, self.step_tokens = time.monotonic(), 0
        step_drafters(drafting)
        now = time.monotonic()
        self.estimator.add_drafted(self.step_tokens, now - started)
        self.metrics.steps.inc()
        self.metrics.codes.inc(self.step_tokens)
        self.metrics.rate.set(1 / self.estimator.token_s if self.estimator.token_s else 0)
        for job in drafting:
            if (ids := take_ids(job)) is not None:
                job.drafted_at = now
                job.count_tokens(sum(map(len, ids)))
                self.advance(job, ids)

    def report_progress(self) -> None:
        """Send the progress that is due, with previews where there is time."""
        due, self.due_progress = self.due_progress, []
        quiet = len(self.running) <= QUIET_JOBS
        reports, to_preview = [], []
        for job, effect, ids in due:
            report, grid = job.report(effect, ids, quiet)
            if grid is not None and self.model.parts.previews:
                to_preview.append((len(reports), grid, effect.requests[0].seed))
            reports.append((job, report))
        previews = dict(zip([place for place, _, _ in to_preview], self.preview(to_preview), strict=True))
        for place, (job, report) in enumerate(reports):
            job.notify(report(previews.get(place)))

    def preview(self, grids: Sequence[tuple[int, np.ndarray, int]]) -> list[Any]:
        """Render previews.

        Grids of one size are rendered together if that does not change the result.

        Args:
            grids: for each preview the place of its report, its codes (h, w), and its seed.
        """
        from PIL import Image

        previews: list[Any] = [None] * len(grids)
        groups: dict[Any, list[int]] = {}
        for place, (_, codes, _) in enumerate(grids):
            groups.setdefault(codes.shape if self.model.parts.exact else place, []).append(place)
        for places in groups.values():
            codes_Bhw = np.stack([grids[place][1] for place in places])
            arrays = self.model.parts.render(codes_Bhw, [grids[place][2] for place in places], PARAMS)
            for place, array in zip(places, arrays, strict=True):
                previews[place] = Image.fromarray(array)
            self.metrics.previews.inc(len(places))
        return previews

    def render(self) -> None:
        """Render the oldest waiting picture, and those that can be rendered with it."""
        waiting = [(job, job.effect) for job in self.running if isinstance(job.effect, Render)]
        if not waiting:
            return
        first, limit = waiting[0][1], max(1, MAX_RENDERED_CODES // waiting[0][1].cells)
        group = [(job, effect) for job, effect in waiting if effect.group == first.group][:limit]
        if not self.model.parts.exact:
            group = group[:1]
        started = time.monotonic()
        try:
            pictures = render_group(self.model.parts, [effect for _, effect in group])
        except Exception as problem:
            for job, _ in group:
                self.end(job, Failed(problem))
            return
        now = time.monotonic()
        self.estimator.add_rendered(sum(effect.cells for _, effect in group), now - started)
        self.metrics.renders.inc(len(group))
        self.metrics.render_s.observe(now - started)
        for (job, _), picture in zip(group, pictures, strict=True):
            self.advance(job, job.timed(picture, now))

    def end(self, job: Job, event: Event) -> None:
        """Free everything that a job holds, and send its client the last event."""
        cancel_drafts(job)
        job.effect = None
        job.task.close()
        self.due_progress = [due for due in self.due_progress if due[0] is not job]
        with self.changed:
            self.queue.remove(job)
            if job in self.running:
                self.running.remove(job)
        self.measure()
        job.notify(event)
