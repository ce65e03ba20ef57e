"""Who waits, and who is next: clients take turns, whoever sent how many."""

import collections
from collections.abc import Iterator, Sequence

from lantu.server.worker.jobs import Job


class Full(Exception):
    """There is no room to wait."""


class Queue:
    """A bounded queue that is fair between clients.

    Args:
        room: jobs in all; one client may hold half of it.
    """

    def __init__(self, room: int):
        self.room = room
        self.lines: collections.OrderedDict[str, collections.deque[Job]] = collections.OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def check(self, client: str, count: int) -> None:
        """Whether so many jobs more find room.

        Raises:
            Full: they don't.
        """
        held = len(self.lines.get(client, ()))
        if len(self) + count > self.room or held + count > max(1, self.room // 2):
            raise Full

    def put(self, jobs: Sequence[Job]) -> None:
        """Add jobs of one client; see ``check``."""
        for job in jobs:
            self.lines.setdefault(job.client, collections.deque()).append(job)

    def first(self) -> Job | None:
        """Who is next."""
        return next(iter(self.lines.values()))[0] if self.lines else None

    def pop(self) -> Job:
        """Take the next one; its client goes to the end of the round."""
        client, line = next(iter(self.lines.items()))
        job = line.popleft()
        self.lines.move_to_end(client)
        if not line:
            del self.lines[client]
        return job

    def remove(self, job: Job) -> bool:
        """Take one out of its line; False when it is not there."""
        line = self.lines.get(job.client)
        if line is None or job not in line:
            return False
        line.remove(job)
        if not line:
            del self.lines[job.client]
        return True

    def __iter__(self) -> Iterator[Job]:
        """All of them in the order in which they will go, if nobody else comes."""
        lines = [list(line) for line in self.lines.values()]
        for turn in range(max(map(len, lines), default=0)):
            for line in lines:
                if turn < len(line):
                    yield line[turn]
