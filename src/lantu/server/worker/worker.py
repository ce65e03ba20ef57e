"""The one thread that computes: all drafts a step, then some rendering, and again.

A job (``server.jobs``) comes from the queue. Its task's drafts go through the engine together with all others, its
pictures are rendered in a group with those that are due at the same time. Between two steps jobs whose client is gone
leave, and others join.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lantu.pipeline import Model
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.worker.jobs import Begun, Done, Event, Failed, Job, Progress
from lantu.server.worker.queue import Full, Queue
from lantu.server.worker.unavailable import Crowded, Draining, Late, Loading
from lantu.server.worker.wait_estimator import Pace
from lantu.tasks.effects import Compute, Draft, Render
from lantu.tasks.preview import PARAMS, known
from lantu.tasks.run import render_group

log = logging.getLogger("lantu.server")

ROWS = 64  # of the engine
RENDERED = 512  # codes that are rendered at once, while drafts wait
QUIET = 4  # jobs beside which there is time for previews that a client can do without


class Worker(threading.Thread):
    """Computes what is submitted.

    Args:
        load: opens the model; called on this thread.
    """

    def __init__(self, load: Callable[[], Model], options: Options, metrics: Metrics):
        super().__init__(name="lantu worker", daemon=True)
        self.load, self.options, self.metrics = load, options, metrics
        self.queue, self.pace, self.news = Queue(options.waiting), Pace(), threading.Condition()
        self.running: list[Job] = []  # begun, not ended
        self.due: list[tuple[Job, Draft, list[int]]] = []  # progress to be reported
        self.ready = threading.Event()
        self.problem: BaseException | None = None  # why there is no model
        self.draining = self.ending = False
        self.drawn = 0  # ids, in the newest step
        metrics.rows_all.set(ROWS)

    # What other threads call.

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue the jobs of one request, all of them or none.

        Raises:
            Draining, Loading, Crowded: none.
        """
        with self.news:
            if self.draining:
                raise Draining
            if not self.ready.is_set():
                raise Loading
            try:
                self.queue.check(jobs[0].client, len(jobs))
            except Full as problem:
                # There is room again when the first of those that wait have begun.
                first = list(self.queue)[: len(jobs)]
                raise Crowded(self.pace.seconds([*self.running, *first])) from problem
            self.queue.put(jobs)
            self.metrics.queue.set(len(self.queue))
            self.news.notify()

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancel jobs; those that run leave before the next step."""
        with self.news:
            for job in jobs:
                job.cancelled = True
                if self.queue.remove(job):
                    self.metrics.cancelled.inc()
            self.metrics.queue.set(len(self.queue))
            self.news.notify()

    def place(self, job: Job) -> tuple[int, float] | None:
        """How many go before a job, and the seconds until it begins; None when it has begun."""
        with self.news:
            earlier: list[Job] = []
            for other in self.queue:
                if other is job:
                    return len(earlier), self.pace.seconds([*self.running, *earlier])
                earlier.append(other)
        return None

    def drain(self) -> None:
        """Take nothing more."""
        with self.news:
            self.draining = True

    @property
    def idle(self) -> bool:
        with self.news:
            return not (self.queue or self.running)

    def stop(self, timeout_s: float = 10.0) -> None:
        """End; what runs fails."""
        with self.news:
            self.draining = self.ending = True
            self.news.notify()
        self.join(timeout_s)

    # What this thread does.

    def run(self) -> None:
        try:
            self.model = self.load()
            self.warm_up()
        except BaseException as problem:
            self.problem = problem
            log.error("the model can't be loaded: %s", problem)
            return
        self.ready.set()
        while self.wait():
            try:
                self.turn()
            except Exception as problem:  # our fault: those that run fail, the others go on
                log.exception("a step failed")
                for job in list(self.running):
                    self.end(job, Failed(problem))
        for job in [*self.queue, *self.running]:
            self.end(job, Failed(Draining()))

    def warm_up(self) -> None:
        """Draw once, so that the first client finds everything loaded and the pace is known."""
        started = time.monotonic()
        picture = self.model.draw("a cat", seed=0)
        self.pace.drafted(picture.codes.size, picture.timings_ms["plan"] / 1000)
        self.pace.painted(picture.codes.size, picture.timings_ms["render"] / 1000)
        log.info("ready", extra={"told": {"model": self.model.name, "seconds": round(time.monotonic() - started, 2)}})

    def wait(self) -> bool:
        """Sleep until there is something to do; False at the end."""
        with self.news:
            while not (self.queue or self.running or self.ending):
                self.news.wait()
            return not self.ending

    def turn(self) -> None:
        """One step of all drafts, and what can be done with them."""
        self.sweep()
        self.admit()
        self.draft()
        self.report_progress()
        self.render()

    def sweep(self) -> None:
        """Jobs whose client is gone, or that are late, leave."""
        now = time.monotonic()
        with self.news:
            waiting = [job for job in self.queue if job.deadline < now]
        for job in [*self.running, *waiting]:
            if job.cancelled or job.deadline < now:
                self.metrics.cancelled.inc()
                self.end(job, Failed(Late()))

    def admit(self) -> None:
        """Let jobs begin while there is room."""
        while True:
            with self.news:
                job = self.queue.first()
                if job is None or len(self.running) >= self.options.together or self.rows + job.rows > ROWS:
                    break
                self.queue.pop()
                self.running.append(job)
                self.metrics.queue.set(len(self.queue))
            job.begun = time.monotonic()
            self.metrics.wait_s.observe(job.begun - job.asked)
            job.notify(Begun())
            self.take_up(job)
        self.metrics.running.set(len(self.running))
        self.metrics.rows.set(self.rows)
        self.metrics.pairs.set(sum(job.rows == 2 for job in self.running))

    @property
    def rows(self) -> int:
        """Of the engine, in use."""
        return sum(job.rows for job in self.running)

    def advance(self, job: Job, value: Any) -> None:
        """Send a job's task the result of its effect, and take up the next."""
        try:
            job.advance(value)
        except Exception as problem:
            self.end(job, Failed(problem))
            return
        self.take_up(job)

    def take_up(self, job: Job) -> None:
        """Compute what an effect asks for, or give it to the engine; what is to be rendered waits for its group."""
        try:
            while isinstance(job.effect, Compute):
                job.advance(job.effect.work())
            if isinstance(job.effect, Draft):
                self.submit_draft(job, job.effect)
        except Exception as problem:
            self.end(job, Failed(problem))
            return
        if job.effect is None:
            self.end(job, Done(job.result, job.image_tokens, job.text_tokens))

    def submit_draft(self, job: Job, effect: Draft) -> None:
        parts, marks = self.model.parts, job.due
        drafter = parts.batched_drafter if effect.batched else parts.drafter

        def watch() -> Callable[[Sequence[int]], None]:
            before = 0

            def on_ids(ids: Sequence[int]) -> None:
                nonlocal before
                first, before = before + 1, known(ids)
                self.drawn += before - first + 1
                if marks and marks.intersection(range(first, before + 1)):
                    self.due.append((job, effect, list(ids)))

            return on_ids

        job.drafts = [(drafter, drafter.submit(request, watch())) for request in effect.requests]

    def draft(self) -> None:
        """One step of the engine; jobs whose drafts have ended go on."""
        drafting = [job for job in self.running if isinstance(job.effect, Draft)]
        if not drafting:
            return
        started, self.drawn = time.monotonic(), 0
        for drafter in {id(drafter): drafter for job in drafting for drafter, _ in job.drafts}.values():
            drafter.step()
        now = time.monotonic()
        self.pace.drafted(self.drawn, now - started)
        self.metrics.steps.inc()
        self.metrics.codes.inc(self.drawn)
        self.metrics.rate.set(1 / self.pace.id_s if self.pace.id_s else 0)
        for job in drafting:
            if all(draft.ended for _, draft in job.drafts):
                ids, job.drafts, job.drafted = [list(draft.ids) for _, draft in job.drafts], [], now
                job.count(sum(map(len, ids)))
                self.advance(job, ids)

    def report_progress(self) -> None:
        """Send the progress that is due, with previews where there is time."""
        due, self.due = self.due, []
        quiet = len(self.running) <= QUIET
        reports, wanted = [], []
        for job, effect, ids in due:
            codes = effect.partial(ids) if effect.partial else None
            shown = job.previews == "always" or (quiet and job.previews == "if quiet")
            if codes is not None and shown and self.model.parts.previews:
                wanted.append((len(reports), codes, effect.requests[0].seed))
            reports.append((job, ids, effect.requests[0].limit, codes))
        previews = dict(zip([place for place, _, _ in wanted], self.preview(wanted), strict=True))
        for place, (job, ids, total, codes) in enumerate(reports):
            job.notify(Progress(ids, total, codes, previews.get(place)))

    def preview(self, wanted: Sequence[tuple[int, np.ndarray, int]]) -> list[Any]:
        """Previews of grids with their seeds; those of one size together, where that changes nothing."""
        from PIL import Image

        previews: list[Any] = [None] * len(wanted)
        groups: dict[Any, list[int]] = {}
        for place, (_, codes, _) in enumerate(wanted):
            groups.setdefault(codes.shape if self.model.parts.exact else place, []).append(place)
        for places in groups.values():
            codes_Bhw = np.stack([wanted[place][1] for place in places])
            arrays = self.model.parts.render(codes_Bhw, [wanted[place][2] for place in places], PARAMS)
            for place, array in zip(places, arrays, strict=True):
                previews[place] = Image.fromarray(array)
            self.metrics.previews.inc(len(places))
        return previews

    def render(self) -> None:
        """Render a group of pictures that are alike, the oldest first."""
        waiting = [(job, job.effect) for job in self.running if isinstance(job.effect, Render)]
        if not waiting:
            return
        first, most = waiting[0][1], max(1, RENDERED // waiting[0][1].codes.size)
        group = [(job, effect) for job, effect in waiting if effect.group == first.group][:most]
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
        self.pace.painted(sum(effect.codes.size for _, effect in group), now - started)
        self.metrics.renders.inc(len(group))
        self.metrics.render_s.observe(now - started)
        for (job, _), picture in zip(group, pictures, strict=True):
            drafted = job.drafted or job.begun
            timings = {"plan": drafted - job.begun, "render": now - drafted, "total": now - job.begun}
            timings_ms = {name: 1000 * seconds for name, seconds in timings.items()}
            self.advance(job, replace(picture, timings_ms=timings_ms))

    def end(self, job: Job, event: Event) -> None:
        """Free all that a job holds, and notify its client."""
        for drafter, draft in job.drafts:
            drafter.cancel(draft)
        job.drafts, job.effect = [], None
        job.task.close()
        self.due = [due for due in self.due if due[0] is not job]
        with self.news:
            self.queue.remove(job)
            if job in self.running:
                self.running.remove(job)
            self.metrics.running.set(len(self.running))
        job.notify(event)
