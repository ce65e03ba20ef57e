"""Estimates how long a queue takes, from the speed measured so far."""

from collections.abc import Iterable

from lantu.server.worker.jobs import Job

NEWEST_WEIGHT = 0.1  # of the newest measurement in the moving average


class WaitEstimator:
    """Moving averages of the seconds per drafted token and per rendered cell, measured with jobs running together."""

    def __init__(self) -> None:
        self.token_s, self.cell_s = 0.0, 0.0

    def add_drafted(self, tokens: int, seconds: float) -> None:
        """Record that drafting so many tokens took so long."""
        if tokens:
            self.token_s = moving_average(self.token_s, seconds / tokens)

    def add_rendered(self, cells: int, seconds: float) -> None:
        """Record that rendering so many cells took so long."""
        if cells:
            self.cell_s = moving_average(self.cell_s, seconds / cells)

    def seconds(self, jobs: Iterable[Job]) -> float:
        """Estimated time for all of these jobs, in seconds."""
        return sum(job.draft_limit * self.token_s + max(1, job.cells) * self.cell_s for job in jobs)


def moving_average(average: float, newest: float) -> float:
    """The average updated with the newest measurement; 0 means that there was none before."""
    return average + NEWEST_WEIGHT * (newest - average) if average else newest
