"""The one thread that computes: all drafts a step, then some painting, and again.

A ticket comes from the queue, is drafted by the engine together with the others, and painted in a group with those that
were drafted at the same time. Between two steps tickets whose client is gone leave, and others join.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lantu.diffusion.sample import render
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.images import to_bytes
from lantu.pipeline import Model
from lantu.server.jobs import Begun, Done, Event, Failed, Progress, Ticket
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.pace import Pace
from lantu.server.queue import Full, Queue
from lantu.tasks.preview import STEPS
from lantu.types import Picture

log = logging.getLogger("lantu.server")

ROWS = 64  # of the engine
PAINTED = 512  # cells that are painted at once, while drafts wait
QUIET = 4  # drafts beside which there is time for previews that nobody counts on


class Draining(Exception):
    """The server is about to end."""


class Loading(Exception):
    """The model is not there yet."""


class Late(Exception):
    """It took longer than it may."""


class Crowded(Exception):
    """Too many wait.

    Args:
        wait_s: after which there should be room.
    """

    def __init__(self, wait_s: float):
        super().__init__(wait_s)
        self.wait_s = wait_s


class Worker(threading.Thread):
    """Computes what is submitted.

    Args:
        load: opens the model; called on this thread.
    """

    def __init__(self, load: Callable[[], Model], options: Options, metrics: Metrics):
        super().__init__(name="lantu worker", daemon=True)
        self.load, self.options, self.metrics = load, options, metrics
        self.queue, self.pace, self.news = Queue(options.waiting), Pace(), threading.Condition()
        self.running: list[Ticket] = []  # begun, not ended; what follows are stages of these
        self.jobs: dict[Ticket, Any] = {}
        self.due: list[tuple[Ticket, list[int]]] = []  # progress to be told
        self.canvases: list[tuple[Ticket, int, np.ndarray]] = []  # to be painted
        self.painted: dict[Ticket, list[Picture | None]] = {}
        self.ready = threading.Event()
        self.problem: BaseException | None = None  # why there is no model
        self.draining = self.ending = False
        self.drawn = 0  # ids, in the newest step
        metrics.rows_all.set(ROWS)

    # What other threads call.

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Queue the tickets of one request, all of them or none.

        Raises:
            Draining, Loading, Crowded: none.
        """
        with self.news:
            if self.draining:
                raise Draining
            if not self.ready.is_set():
                raise Loading
            try:
                self.queue.check(tickets[0].client, len(tickets))
            except Full as problem:
                # There is room again when the first of those that wait have begun.
                first = list(self.queue)[: len(tickets)]
                raise Crowded(self.pace.seconds([*self.running, *first])) from problem
            self.queue.put(tickets)
            self.metrics.queue.set(len(self.queue))
            self.news.notify()

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """Give up what nobody waits for; it leaves before the next step."""
        with self.news:
            for ticket in tickets:
                ticket.cancelled = True
                if self.queue.remove(ticket):
                    self.metrics.cancelled.inc()
            self.metrics.queue.set(len(self.queue))
            self.news.notify()

    def place(self, ticket: Ticket) -> tuple[int, float] | None:
        """How many go before a ticket, and the seconds until it begins; None when it has begun."""
        with self.news:
            ahead: list[Ticket] = []
            for other in self.queue:
                if other is ticket:
                    return len(ahead), self.pace.seconds([*self.running, *ahead])
                ahead.append(other)
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
                for ticket in list(self.running):
                    self.end(ticket, Failed(problem))
        for ticket in [*self.queue, *self.running]:
            self.end(ticket, Failed(Draining()))

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
        self.tell_progress()
        self.paint()

    def sweep(self) -> None:
        """Those whose client is gone, or that are late, leave."""
        now = time.monotonic()
        with self.news:
            waiting = [ticket for ticket in self.queue if ticket.deadline < now]
        for ticket in [*self.running, *waiting]:
            if ticket.cancelled or ticket.deadline < now:
                self.metrics.cancelled.inc()
                self.end(ticket, Failed(Late()))

    def admit(self) -> None:
        """Let those begin for which there is room."""
        while True:
            with self.news:
                ticket = self.queue.first()
                if ticket is None or len(self.running) >= self.options.together or self.rows + ticket.rows > ROWS:
                    break
                self.queue.pop()
                self.running.append(ticket)
                self.metrics.queue.set(len(self.queue))
            ticket.begun = time.monotonic()
            self.metrics.wait_s.observe(ticket.begun - ticket.asked)
            ticket.tell(Begun())
            self.begin(ticket)
        self.metrics.running.set(len(self.running))
        self.metrics.rows.set(self.rows)
        self.metrics.pairs.set(sum(ticket.rows == 2 for ticket in self.jobs))

    @property
    def rows(self) -> int:
        """Of the engine, in use."""
        return sum(ticket.rows for ticket in self.jobs)

    def begin(self, ticket: Ticket) -> None:
        try:
            if ticket.work:
                self.end(ticket, Done(value=ticket.work()))
            elif ticket.request:
                self.submit_draft(ticket, ticket.request)
            else:
                self.prepare(ticket, [])
        except Exception as problem:
            self.end(ticket, Failed(problem))

    def submit_draft(self, ticket: Ticket, request: Request) -> None:
        self.jobs[ticket] = self.model.parts.engine.submit(request, self.watching(ticket))

    def watching(self, ticket: Ticket) -> Callable[[Sequence[int]], None]:
        def on_step(ids: Sequence[int]) -> None:
            self.drawn += 1
            # Marks are of the last draft; where each id is told, it is words, and those may be in the first.
            if ticket.marks is None or (len(ids) in ticket.marks and not ticket.then):
                self.due.append((ticket, list(ids)))

        return on_step

    def draft(self) -> None:
        """One step of the engine; those that are drafted go on to be painted."""
        if not self.jobs:
            return
        started, self.drawn = time.monotonic(), 0
        self.model.parts.engine.step()
        seconds = time.monotonic() - started
        self.pace.drafted(self.drawn, seconds)
        self.metrics.steps.inc()
        self.metrics.codes.inc(self.drawn)
        self.metrics.rate.set(1 / self.pace.id_s if self.pace.id_s else 0)
        for ticket, job in [(ticket, job) for ticket, job in self.jobs.items() if job.ended]:
            del self.jobs[ticket]
            try:
                self.go_on(ticket, list(job.ids))
            except Exception as problem:
                self.end(ticket, Failed(problem))

    def go_on(self, ticket: Ticket, ids: list[int]) -> None:
        """What comes after a draft: another, or painting."""
        following = ticket.then(ids) if ticket.then else None
        ticket.then = None
        if following is None:
            self.prepare(ticket, ids)
            return
        ticket.request, ticket.noted = following, ids
        self.submit_draft(ticket, following)

    def prepare(self, ticket: Ticket, ids: list[int]) -> None:
        """Lay out what is to be painted of a draft."""
        ticket.drafted = time.monotonic()
        ticket.drawn = ids
        grids = ticket.grids(ids)
        self.canvases += [(ticket, place, grid) for place, grid in enumerate(grids)]
        self.painted[ticket] = [None] * len(grids)
        if not grids:
            self.end(ticket, Done(ids))

    def tell_progress(self) -> None:
        """What is due of it, with previews where there is time."""
        due, self.due = self.due, []
        quiet = len(self.running) <= QUIET
        known = [(ticket, ids, ticket.partial(ids) if ticket.partial else None) for ticket, ids in due]
        shown = [
            place
            for place, (ticket, _, codes) in enumerate(known)
            if codes is not None and (ticket.sketched == "always" or (quiet and ticket.sketched == "if quiet"))
        ]
        previews = self.sketch([(known[place][2], known[place][0].seed) for place in shown])
        for place, (ticket, ids, codes) in enumerate(known):
            ticket.tell(Progress(ids, codes, previews[shown.index(place)] if place in shown else None))

    def sketch(self, wanted: Sequence[tuple[Any, int]]) -> list[Any]:
        """Previews of grids with their seeds; those of one size together, where that changes nothing."""
        from PIL import Image

        previews: list[Any] = [None] * len(wanted)
        groups: dict[Any, list[int]] = {}
        for place, (codes, _) in enumerate(wanted):
            groups.setdefault(codes.shape if self.model.parts.exact else place, []).append(place)
        for places in groups.values():
            codes_Bhw = np.stack([wanted[place][0] for place in places])
            seeds = [wanted[place][1] for place in places]
            arrays = to_bytes(render(self.model.parts.decoder, codes_Bhw, seeds, STEPS))
            for place, array in zip(places, arrays, strict=True):
                previews[place] = Image.fromarray(array)
            self.metrics.previews.inc(len(places))
        return previews

    def paint(self) -> None:
        """A group of pictures that are alike, the oldest first."""
        if not self.canvases:
            return
        alike, most = look(*self.canvases[0]), max(1, PAINTED // self.canvases[0][2].size)
        group = [canvas for canvas in self.canvases if look(*canvas) == alike][:most]
        taken = set(map(id, group))
        self.canvases = [canvas for canvas in self.canvases if id(canvas) not in taken]
        first, started = group[0][0], time.monotonic()
        try:
            grids, tickets = [grid for _, _, grid in group], [ticket for ticket, _, _ in group]
            seeds, prompts = [ticket.seed for ticket in tickets], [ticket.prompt for ticket in tickets]
            pictures = self.model.paint(grids, prompts, seeds, first.settings, control=first.control)
        except Exception as problem:
            for ticket in {ticket: None for ticket, _, _ in group}:
                self.end(ticket, Failed(problem))
            return
        seconds = time.monotonic() - started
        self.pace.painted(sum(grid.size for grid in grids), seconds)
        self.metrics.renders.inc(len(group))
        self.metrics.render_s.observe(seconds)
        for (ticket, place, _), picture in zip(group, pictures, strict=True):
            self.hang(ticket, place, picture)

    def hang(self, ticket: Ticket, place: int, picture: Picture) -> None:
        """Keep a painted picture until all of its ticket are there."""
        now = time.monotonic()
        timings = {"plan": ticket.drafted - ticket.begun, "render": now - ticket.drafted, "total": now - ticket.begun}
        told = {name: 1000 * seconds for name, seconds in timings.items()}
        picture = replace(picture, settings=ticket.settings.as_dict(), timings_ms=told)
        pictures = self.painted[ticket]
        try:
            pictures[place] = ticket.finish(picture) if ticket.finish else picture
        except Exception as problem:
            self.end(ticket, Failed(problem))
            return
        whole = [picture for picture in pictures if picture is not None]
        if len(whole) == len(pictures):
            self.end(ticket, Done(ticket.drawn, whole))

    def end(self, ticket: Ticket, event: Event) -> None:
        """Free all that a ticket holds, and tell its client."""
        if job := self.jobs.pop(ticket, None):
            self.model.parts.engine.cancel(job)
        self.canvases = [canvas for canvas in self.canvases if canvas[0] is not ticket]
        self.due = [due for due in self.due if due[0] is not ticket]
        self.painted.pop(ticket, None)
        with self.news:
            self.queue.remove(ticket)
            if ticket in self.running:
                self.running.remove(ticket)
            self.metrics.running.set(len(self.running))
        ticket.tell(event)


def look(ticket: Ticket, place: int, grid: np.ndarray) -> tuple[Any, ...]:
    """What pictures must share to be painted together; one that is controlled is painted alone."""
    settings: SamplingParams = ticket.settings
    alone = id(ticket) if ticket.control else None
    return grid.shape, settings.steps, settings.render_guidance, settings.sampler, alone
