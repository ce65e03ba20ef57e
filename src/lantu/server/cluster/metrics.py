"""One page of metrics for a server on a cluster: its own, and those of all replicas.

What replicas compute is summed under the names that it has on one machine (``lantu_codes_total``), and listed by
replica under others (``lantu_replica_codes_total{stage,replica}``), so that a sum over a name counts nothing twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import Metric

from lantu.server.metrics import Metrics

COMPUTED = (  # by replicas, not by this process
    "lantu_codes",
    "lantu_codes_per_second",
    "lantu_rows_in_use",
    "lantu_rows",
    "lantu_pairs_in_use",
    "lantu_steps",
    "lantu_renders",
    "lantu_render_seconds",
)
LISTED = (*COMPUTED, "lantu_running", "lantu_queue_depth")
CREATED = "_created"  # ends the names of samples that say when a count began
Key = tuple[str, tuple[tuple[str, str], ...]]  # a sample's name and labels


@dataclass(frozen=True)
class Numbers:
    """The metrics of one replica at one time.

    Attributes:
        replica: its id.
        stage: its deployment.
        families: families of metrics, by name, each with the values of its samples.
    """

    replica: str
    stage: str
    families: Mapping[str, Mapping[Key, float]]


def numbers_of(metrics: Metrics, replica: str, stage: str) -> Numbers:
    """A replica's metrics, to be sent."""
    families = {
        family.name: {key_of(sample): sample.value for sample in family.samples if not sample.name.endswith(CREATED)}
        for family in metrics.registry.collect()
        if family.name in LISTED
    }
    return Numbers(replica, stage, families)


class ClusterMetrics:
    """The metrics that only a cluster has, and the page.

    Args:
        own: the metrics of this process.

    Attributes:
        seen: the replicas that answered last.
        lost: what those that didn't had counted when they last did, so that sums don't fall. One that answers again
            is no longer among them, so that nothing counts twice.
    """

    def __init__(self, own: Metrics):
        self.own = own
        self.retries = Counter(
            "lantu_retries", "Effects computed again, because a replica was lost", ["stage"], registry=own.registry
        )
        self.replicas = Gauge("lantu_replicas", "Replicas that are running", ["stage"], registry=own.registry)
        self.seen: dict[str, Numbers] = {}
        self.lost: dict[str, dict[Key, float]] = {}

    def page(self, numbers: Iterable[Numbers]) -> bytes:
        """All metrics in Prometheus' text format.

        Args:
            numbers: of all replicas that answer.
        """
        now = {each.replica: each for each in numbers}
        for replica in self.seen.keys() - now.keys():
            self.lost[replica] = counts_of(self.seen[replica])
        self.lost = {replica: counts for replica, counts in self.lost.items() if replica not in now}
        self.seen = now
        registry = CollectorRegistry()
        registry.register(Families([*self.summed(), *self.listed()]))
        return generate_latest(registry)

    def summed(self) -> Iterator[Metric]:
        """The families of one machine."""
        for family in self.own.registry.collect():
            if family.name not in COMPUTED:
                yield family
                continue
            keys = [key_of(sample) for sample in family.samples if not sample.name.endswith(CREATED)]
            sums = defaultdict(float, {key: sum(counts.get(key, 0.0) for counts in self.lost.values()) for key in keys})
            for each in self.seen.values():
                for key, value in each.families.get(family.name, {}).items():
                    sums[key] += value
            total = Metric(family.name, family.documentation, family.type)
            for (name, labels), value in sums.items():
                total.add_sample(name, dict(labels), value)
            yield total

    def listed(self) -> Iterator[Metric]:
        """The families with a label for each replica."""
        for family in self.own.registry.collect():
            if family.name not in LISTED:
                continue
            name = of_replica(family.name)
            found = Metric(name, f"{family.documentation}, by replica", family.type)
            for each in self.seen.values():
                labelled = {"stage": each.stage, "replica": each.replica}
                for (sample, labels), value in each.families.get(family.name, {}).items():
                    found.add_sample(of_replica(sample), dict(labels) | labelled, value)
            yield found


def key_of(sample: Any) -> Key:
    """A sample's name and labels."""
    return sample.name, tuple(sorted(sample.labels.items()))


def of_replica(name: str) -> str:
    """The name under which a metric is listed by replica."""
    return name.replace("lantu_", "lantu_replica_", 1)


def counts_of(numbers: Numbers) -> dict[Key, float]:
    """A replica's counts since its start, without what is a present state."""
    samples = (sample for family in numbers.families.values() for sample in family.items())
    return {key: value for key, value in samples if not is_gauge(key[0])}


def is_gauge(name: str) -> bool:
    """Whether a sample is a present state, not a count since the start."""
    return not name.endswith(("_total", "_count", "_sum", "_bucket"))


class Families:
    """Gives families of metrics to a registry."""

    def __init__(self, families: list[Metric]):
        self.families = families

    def collect(self) -> list[Any]:
        """The families."""
        return self.families
