"""Many drafts at once, each step of all of them one forward pass: schedule, forward, sample.

A request becomes a job. Its prefix is read once and kept, for n pictures of one prompt and for prompts that come back;
the prefix without a prompt, with which guidance compares, is the same for all. A guided job is a pair of rows that are
admitted, stepped, cancelled and freed together. Lengths are known, so each row has exactly the room that it needs.
"""

import collections
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lantu.engine.backends.protocol import Backend, Draw
from lantu.engine.request import PrefixKey, Prompt, Request, prefix_key

OnStep = Callable[[Sequence[int]], None]


class Job:
    """A request on its way.

    With ``Request.num_draft_tokens`` a forward pass also reads draft tokens after the newest id, and samples at each
    position as if the draft tokens before it were right. Every position has its own uniform number from the start, so
    an accepted draft token is exactly what one-token decoding would have produced, in fewer passes. What is sampled
    after a rejected draft token becomes the next draft (Jacobi iteration, for pictures arXiv:2410.01699; our acceptance
    is exact where that paper's is stochastic).

    Attributes:
        ids: drawn so far.
        unread: those of them that no row has read.
        guesses: what may come after them; read with them.
        passes: forward passes that drew for it.
        state: "waiting", "running", "done" or "cancelled".
    """

    def __init__(self, request: Request, on_step: OnStep | None):
        self.request, self.on_step = request, on_step
        self.ids: list[int] = []
        self.unread: list[int] = []
        self.guesses: list[int] = []
        self.passes = 0
        self.next = request.after(())  # ids that may come next; nothing when it is done
        self.state = "waiting"
        self.rows: list[Any] = []  # with the prompt, and without it if guided; what they share is in ``prefixes``
        self.prefixes: list[PrefixKey] = []
        self.random = np.random.default_rng((request.seed, 0))
        self.chances: list[float] = []  # one for each id, drawn in order

    def chance(self, place: int) -> float:
        """What decides the id at a place."""
        while len(self.chances) <= place:
            self.chances.append(float(self.random.random()))
        return self.chances[place]

    def guess(self, count: int) -> None:
        """Have so many guesses, those there are first, then the last again; none beyond the draft or the stride."""
        stride = self.request.stride or self.request.limit
        end = min(self.request.limit, (len(self.ids) // stride + 1) * stride)
        count = max(0, min(count, end - 1 - len(self.ids)))
        del self.guesses[count:]
        self.guesses += [(self.guesses or self.ids)[-1]] * (count - len(self.guesses))

    @property
    def ended(self) -> bool:
        return self.state in ("done", "cancelled")


class Engine:
    """Drafts whatever is submitted.

    Args:
        backend: the language model.
        rows: of a forward pass, at most.
        kept: prefixes that are kept when no job uses them, the newest first.
        together: jobs that may share forward passes; as many as fit if the backend is exact, else one at a time, so
            that a seed decides a draft whatever else is drafted. Give a number to have speed instead.
    """

    def __init__(self, backend: Backend, rows: int = 64, kept: int = 32, together: int | None = None):
        self.backend, self.most_rows, self.kept = backend, rows, kept
        self.together = together or (rows if backend.exact else 1)
        self.waiting: collections.deque[Job] = collections.deque()
        self.running: list[Job] = []
        self.prefixes: collections.OrderedDict[PrefixKey, Prefix] = collections.OrderedDict()

    @property
    def exact(self) -> bool:
        """Whether what is drafted together is what it would be alone, bit for bit."""
        return self.backend.exact

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.running)

    @property
    def rows(self) -> int:
        """In use by running jobs."""
        return sum(job.request.rows for job in self.running)

    def submit(self, request: Request, on_step: OnStep | None = None) -> Job:
        """Add a request.

        Args:
            on_step: called with the ids so far, after each.
        """
        if request.rows > self.most_rows:
            raise ValueError(f"a request of {request.rows} rows, the engine has {self.most_rows}")
        job = Job(request, on_step)
        self.waiting.append(job)
        return job

    def cancel(self, job: Job) -> None:
        """End a job now, whatever it has drawn; its rows are free at once."""
        if job.ended:
            return
        if job.state == "waiting":
            self.waiting.remove(job)
        self.end(job, "cancelled")

    def step(self) -> bool:
        """Draw an id or more for every job that runs; False when there is nothing left to do."""
        fresh = self.schedule()
        self.forward(fresh)
        self.sample()
        return self.busy

    def schedule(self) -> "list[Prefix]":
        """Let waiting jobs run while there is room, first come first served; gives the prefixes still to be read."""
        fresh: list[Prefix] = []
        while self.waiting and len(self.running) < self.together:
            job = self.waiting[0]
            if self.rows + job.request.rows > self.most_rows:
                break
            self.waiting.popleft()
            self.running.append(job)
            job.state = "running"
            request = job.request
            if not job.next:
                self.end(job, "done")
                continue
            sides = [request.prefix, request.unconditional or ()] if request.guided else [request.prefix]
            for side in sides:
                key = prefix_key(side)
                if key not in self.prefixes:
                    self.prefixes[key] = Prefix(self.backend.open(len(key)), key)
                    fresh.append(self.prefixes[key])
                self.prefixes[key].users += 1
                job.prefixes.append(key)
        return fresh

    def forward(self, fresh: "list[Prefix]") -> None:
        """One forward pass: new prefixes, and what every row has to read."""
        rows: list[Any] = [prefix.row for prefix in fresh]
        ids: list[Prompt] = [prefix.prompt for prefix in fresh]
        # So many ids of each row, the newest and guesses, are worth a pass.
        room = self.backend.at_once // max(1, self.rows)
        for job in self.running:
            if job.ids:
                worth = max(room - len(job.unread), job.request.min_accepted - 1)
                job.guess(min(job.request.num_draft_tokens, worth))
                rows += job.rows
                ids += [[*job.unread, *job.guesses]] * len(job.rows)
        if rows:
            self.backend.read(rows, ids)
        for job in self.running:
            if not job.rows:
                most = job.request.limit - 1  # nothing reads the last id
                job.rows = [self.backend.open(most, self.prefixes[key].row) for key in job.prefixes]

    def sample(self) -> None:
        """What comes next for every running job; jobs that are done leave."""
        jobs = list(self.running)
        draws = [draw for job in jobs for draw in self.places(job)]
        chosen = iter(self.backend.choose(draws) if draws else ())
        for job in jobs:
            ids = list(itertools.islice(chosen, 1 + len(job.guesses)))
            if not job.ended:  # by another's callback
                self.take(job, ids)

    def places(self, job: Job) -> Iterator[Draw]:
        """Where ids are to be drawn for a job: behind its newest id and behind each guess."""
        request, guesses = job.request, len(job.guesses)
        for place in range(1 + guesses):
            yield Draw(
                job.rows[0],
                job.rows[1] if request.guided else None,
                job.next,
                request.guidance,
                request.temperature,
                request.top_k,
                request.top_p,
                job.chance(len(job.ids) + place),
                back=guesses - place,
                contrast=request.contrast,
                bias=request.bias([*job.ids, *job.guesses[:place]]) if request.bias else None,
            )

    def take(self, job: Job, drawn: list[int]) -> None:
        """Take what was drawn behind right guesses; what follows is the next guess."""
        right = 0
        while right < len(job.guesses) and drawn[right] == job.guesses[right]:
            right += 1
        taken = max(1 + right, min(job.request.min_accepted, len(drawn)))
        for row in job.rows:
            if len(job.guesses) > right:
                self.backend.rewind(row, row.length - (len(job.guesses) - right))
        job.passes += 1
        job.unread, job.guesses = drawn[right:taken], drawn[taken:]
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
        """Free all that a job holds."""
        if job in self.running:
            self.running.remove(job)
        for row in job.rows:
            self.backend.close(row)
        for key in job.prefixes:
            self.prefixes[key].users -= 1
            self.prefixes.move_to_end(key)
        job.rows, job.prefixes, job.state = [], [], state
        idle = [key for key, prefix in self.prefixes.items() if not prefix.users]
        for key in idle[: max(0, len(idle) - self.kept)]:
            self.backend.close(self.prefixes.pop(key).row)


class Prefix:
    """A prompt that several rows may stand behind, read once.

    Attributes:
        users: jobs that hold it.
    """

    __slots__ = ("prompt", "row", "users")

    def __init__(self, row: Any, prompt: PrefixKey):
        self.row, self.prompt, self.users = row, prompt, 0
