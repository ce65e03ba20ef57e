"""A queue in which clients take turns, however many jobs each one submits."""

import collections
from collections.abc import Iterator, Sequence

from lantu.server.worker.jobs import Job


class Full(Exception):
    """The queue has no room."""


class Queue:
    """A bounded queue that is fair between clients.

    Args:
        capacity: the most jobs that may wait; one client may hold half of the places.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.by_client: collections.OrderedDict[str, collections.deque[Job]] = collections.OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self.by_client.values()))

    def check(self, client: str, count: int) -> None:
        """Check that a client may add ``count`` more jobs.

        Raises:
            Full: there is no room for all of them.
        """
        held = len(self.by_client.get(client, ()))
        if len(self) + count > self.capacity or held + count > max(1, self.capacity // 2):
            raise Full

    def put(self, jobs: Sequence[Job]) -> None:
        """Add one client's jobs; call ``check`` first."""
        for job in jobs:
            self.by_client.setdefault(job.client, collections.deque()).append(job)

    def first(self) -> Job | None:
        """The next job, without removing it; None when the queue is empty."""
        return next(iter(self.by_client.values()))[0] if self.by_client else None

    def pop(self) -> Job:
        """Remove and return the next job; its client goes to the end of the round."""
        client, jobs = next(iter(self.by_client.items()))
        job = jobs.popleft()
        self.by_client.move_to_end(client)
        if not jobs:
            del self.by_client[client]
        return job

    def remove(self, job: Job) -> bool:
        """Remove a job wherever it stands; False when it is not in the queue."""
        jobs = self.by_client.get(job.client)
        if jobs is None or job not in jobs:
            return False
        jobs.remove(job)
        if not jobs:
            del self.by_client[job.client]
        return True

    def __iter__(self) -> Iterator[Job]:
        """All jobs in the order in which they will run if no others arrive."""
        by_client = [list(jobs) for jobs in self.by_client.values()]
        for turn in range(max(map(len, by_client), default=0)):
            for jobs in by_client:
                if turn < len(jobs):
                    yield jobs[turn]
