"""The engine: continuous batching of next-token drafts. A step is one forward pass: schedule, forward, sample.

A request becomes a job. Its prompt is prefilled once and cached, for n pictures of one prompt and for repeated
prompts; the unconditional prompt is the same for all. A job with guidance has two sequences, which are always scheduled
and freed together. Lengths are known in advance, so each KV cache has exactly the size that it needs.
"""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from lantu.engine.backends.protocol import Backend, Draw
from lantu.engine.request import InTurn, PrefixKey, Prompt, Ranges, Request, prefix_key

OnStep = Callable[[Sequence[int]], None]
IDLE_IDS = 1024  # of all prefixes that no job uses, together: two prompts as long as ``models.estimate`` counts them
PAIR = 2  # prefixes of one picture, which are kept at any length


class Job:
    """A request that is being drafted.

    With ``Request.num_draft_tokens`` a forward pass also reads draft tokens after the newest id, and samples at each
    position as if the draft tokens before it were right. Every position has its own uniform number from the start, so
    an accepted draft token is exactly what one-token decoding would have produced, in fewer passes. What is sampled
    after a rejected draft token becomes the next draft (Jacobi iteration, for pictures arXiv:2410.01699; our acceptance
    is exact where that paper's is stochastic).

    Attributes:
        ids: drafted so far.
        unread: the newest of them, which are not in the KV caches yet, with the ends of rows.
        draft_tokens: guesses of the ids after them, verified in the same pass.
        passes: forward passes so far.
        state: "waiting", "running", "done" or "cancelled".
    """

    def __init__(self, request: Request, on_step: OnStep | None):
        self.request, self.on_step = request, on_step
        self.ids: list[int] = []
        self.unread: list[int] = []
        self.draft_tokens: list[int] = []
        self.passes = 0
        self.next = request.after(())  # ids that may come next; empty when it is done
        self.in_turn = isinstance(request.allowed, InTurn)
        self.state = "waiting"
        self.rows: list[Any] = []  # the conditional sequence, and with guidance the unconditional one
        self.prefixes: list[PrefixKey] = []
        self.rng = np.random.default_rng((request.seed, 0))
        self.uniforms: list[float] = []  # a uniform number for each position, drawn in order

    def uniform(self, position: int) -> float:
        """The uniform random number that decides the id at a position."""
        while len(self.uniforms) <= position:
            self.uniforms.append(float(self.rng.random()))
        return self.uniforms[position]

    def propose(self, count: int) -> None:
        """Cut the draft tokens to ``count``, or repeat the last; they end where the draft or the stride ends."""
        stride = self.request.stride or self.request.limit
        end = min(self.request.limit, (len(self.ids) // stride + 1) * stride)
        count = max(0, min(count, end - 1 - len(self.ids)))
        del self.draft_tokens[count:]
        self.draft_tokens += [(self.draft_tokens or self.ids)[-1]] * (count - len(self.draft_tokens))

    def allowed(self, position: int) -> Ranges:
        """The ids that may come after so many draft tokens."""
        return self.request.after([*self.ids, *self.draft_tokens[:position]]) if self.in_turn else self.next

    def positions(self, count: int) -> list[np.ndarray | None]:
        """The positions (count, 3) of the next ids that each of its rows reads; None for 0, 1, 2, …"""
        sides = zip(self.rows, self.request.sides, strict=True)
        return [None if all_ is None else all_[row.length : row.length + count] for row, (_, all_) in sides]

    @property
    def ended(self) -> bool:
        """Whether it is done or cancelled."""
        return self.state in ("done", "cancelled")


class Engine:
    """Next-token drafting: a ``lantu.engine.drafting.Drafter``.

    Args:
        backend: the language model.
        max_rows: sequences of a forward pass, at most.
        cached_prefixes: number of prefixes that stay cached when no job uses them, the newest first; fewer where they
            are long, see ``IDLE_IDS``.
        max_jobs: jobs that may share forward passes. By default as many as fit if the backend is exact, otherwise one
            at a time, so that a draft depends on nothing but its own seed. A number trades that for speed.
    """

    def __init__(self, backend: Backend, max_rows: int = 64, cached_prefixes: int = 32, max_jobs: int | None = None):
        self.backend, self.max_rows, self.cached_prefixes = backend, max_rows, cached_prefixes
        self.max_jobs = max_jobs or (max_rows if backend.exact else 1)
        self.waiting: collections.deque[Job] = collections.deque()
        self.running: list[Job] = []
        self.prefixes: collections.OrderedDict[PrefixKey, Prefix] = collections.OrderedDict()

    @property
    def exact(self) -> bool:
        """Whether a draft is the same, bit for bit, alone and with others."""
        return self.backend.exact

    @property
    def busy(self) -> bool:
        """Whether some job has not ended."""
        return bool(self.waiting or self.running)

    @property
    def rows(self) -> int:
        """Sequences of running jobs."""
        return sum(job.request.rows for job in self.running)

    def submit(self, request: Request, on_step: OnStep | None = None) -> Job:
        """Queue a request; nothing is computed yet.

        Args:
            on_step: called with the ids so far, after each id.

        Raises:
            ValueError: it takes more sequences than there are, or has ids that are given.
        """
        if request.rows > self.max_rows:
            raise ValueError(f"a request of {request.rows} sequences, the engine takes {self.max_rows}")
        if request.given:
            raise ValueError("next-token drafting follows a prefix: it can't draft around given ids")
        job = Job(request, on_step)
        self.waiting.append(job)
        return job

    def cancel(self, job: Job) -> None:
        """End a job now and free its KV caches."""
        if job.ended:
            return
        if job.state == "waiting":
            self.waiting.remove(job)
        self.end(job, "cancelled")

    def step(self) -> bool:
        """Draft one or more ids for every running job; False when there is nothing left to do.

        An error of the backend ends all running jobs, whose KV caches may be half written; the next step begins anew.
        """
        try:
            fresh = self.schedule()
            self.forward(fresh)
            jobs = list(self.running)
            draws = [draw for job in jobs for draw in self.positions(job)]
            chosen = self.backend.choose(draws) if draws else ()
        except BaseException:
            self.abandon()
            raise
        self.take_all(jobs, chosen)
        return self.busy

    def schedule(self) -> "list[Prefix]":
        """Start waiting jobs while there is room, first come first served; returns the prefixes to prefill."""
        fresh: list[Prefix] = []
        while self.waiting and len(self.running) < self.max_jobs:
            job = self.waiting[0]
            if self.rows + job.request.rows > self.max_rows:
                break
            self.waiting.popleft()
            self.running.append(job)
            job.state = "running"
            request = job.request
            if not job.next:
                self.end(job, "done")
                continue
            for prompt, positions in request.sides:
                key = prefix_key(prompt, positions)
                if key not in self.prefixes:
                    self.prefixes[key] = Prefix(self.backend.open(len(prompt)), prompt, positions)
                    fresh.append(self.prefixes[key])
                self.prefixes[key].users += 1
                job.prefixes.append(key)
        return fresh

    def forward(self, fresh: "list[Prefix]") -> None:
        """One forward pass: prefill new prefixes, and advance every sequence by its unread ids and draft tokens."""
        rows: list[Any] = [prefix.row for prefix in fresh]
        ids: list[Prompt] = [prefix.prompt for prefix in fresh]
        positions = [prefix.positions for prefix in fresh]
        # Ids for each sequence, unread ones and draft tokens, that one pass computes cheaply.
        room = self.backend.tokens_per_pass // max(1, self.rows)
        for job in self.running:
            if job.ids:
                count = job.request.num_draft_tokens
                # Draft tokens that are accepted unchecked decide the picture, so their number depends on no other job.
                if job.request.min_accepted == 1:
                    count = min(count, room - len(job.unread))
                job.propose(count)
                rows += job.rows
                ids += [[*job.unread, *job.draft_tokens]] * len(job.rows)
                positions += job.positions(len(ids[-1]))
        if rows:
            placed = any(each is not None for each in positions)
            self.backend.read(rows, ids, positions) if placed else self.backend.read(rows, ids)
        for prefix in fresh:
            prefix.ready = True
        for job in self.running:
            if not job.rows:
                for key in job.prefixes:
                    job.rows.append(self.backend.open(job.request.capacity, self.prefixes[key].row))

    def abandon(self) -> None:
        """End all running jobs, and forget prefixes that were not prefilled."""
        for job in list(self.running):
            self.end(job, "cancelled")
        for key in [key for key, prefix in self.prefixes.items() if not prefix.ready]:
            self.backend.close(self.prefixes.pop(key).row)

    def take_all(self, jobs: Sequence[Job], chosen: Iterable[int]) -> None:
        """Give each job the ids that were sampled for it; jobs that are done leave."""
        chosen = iter(chosen)
        for job in jobs:
            ids = list(itertools.islice(chosen, 1 + len(job.draft_tokens)))
            if not job.ended:  # by another job's callback
                self.take(job, ids)

    def positions(self, job: Job) -> Iterator[Draw]:
        """The positions to sample for a job: after its newest id and after each draft token."""
        request, count = job.request, len(job.draft_tokens)
        for position in range(1 + count):
            yield Draw(
                job.rows[0],
                job.rows[1] if request.guided else None,
                job.allowed(position),
                request.guidance,
                request.temperature,
                request.top_k,
                request.top_p,
                job.uniform(len(job.ids) + position),
                back=count - position,
                contrast=request.contrast,
                bias=request.bias([*job.ids, *job.draft_tokens[:position]]) if request.bias else None,
            )

    def take(self, job: Job, drawn: list[int]) -> None:
        """Accept the samples after right draft tokens; the rest become the next draft tokens."""
        right = 0
        while right < len(job.draft_tokens) and drawn[right] == job.draft_tokens[right]:
            right += 1
        taken = max(1 + right, min(job.request.min_accepted, len(drawn)))
        for row in job.rows:
            if len(job.draft_tokens) > right:
                self.backend.rewind(row, row.length - (len(job.draft_tokens) - right))
        job.passes += 1
        job.unread = job.request.read_as(drawn[right:taken], len(job.ids) + right)
        job.draft_tokens = drawn[taken:]
        for id_ in drawn[:taken]:
            job.ids.append(id_)
            job.next = job.request.after(job.ids)
            if not job.next:
                self.end(job, "done")
            if job.on_step:
                job.on_step(job.ids)
            if job.ended:
                break

    def end(self, job: Job, state: str) -> None:
        """Free everything that a job holds."""
        if job in self.running:
            self.running.remove(job)
        for row in job.rows:
            self.backend.close(row)
        for key in job.prefixes:
            self.prefixes[key].users -= 1
            self.prefixes.move_to_end(key)
        job.rows, job.prefixes, job.state = [], [], state
        idle = [key for key, prefix in self.prefixes.items() if not prefix.users]
        count = sum(len(self.prefixes[key].prompt) for key in idle)
        for place, key in enumerate(idle):
            left = len(idle) - place
            if left <= self.cached_prefixes and (left <= PAIR or count <= IDLE_IDS):
                break
            count -= len(self.prefixes[key].prompt)
            self.backend.close(self.prefixes.pop(key).row)


class Prefix:
    """A prompt that is prefilled once and shared by the rows of several jobs.

    Attributes:
        users: number of rows that use it.
        ready: it is prefilled.
        positions: (n, 3) of its ids; None for 0, 1, 2, …
    """

    __slots__ = ("positions", "prompt", "ready", "row", "users")

    def __init__(self, row: Any, prompt: Prompt, positions: np.ndarray | None):
        self.row, self.prompt, self.users, self.ready = row, prompt, 0, False
        self.positions = None if positions is None else positions[: len(prompt)]
