"""How fast the machine is, learnt from what it does, and so how long a queue takes."""

from collections.abc import Iterable

from lantu.server.worker.jobs import Job

WEIGHT = 0.1  # of the newest measurement


class Pace:
    """Seconds per id drafted and per cell painted, as they come out in company."""

    def __init__(self) -> None:
        self.id_s, self.cell_s = 0.0, 0.0

    def drafted(self, ids: int, seconds: float) -> None:
        if ids:
            self.id_s = blend(self.id_s, seconds / ids)

    def painted(self, cells: int, seconds: float) -> None:
        if cells:
            self.cell_s = blend(self.cell_s, seconds / cells)

    def seconds(self, jobs: Iterable[Job]) -> float:
        """How long all of them take together."""
        return sum(job.ids * self.id_s + max(1, job.cells) * self.cell_s for job in jobs)


def blend(old: float, new: float) -> float:
    return old + WEIGHT * (new - old) if old else new
