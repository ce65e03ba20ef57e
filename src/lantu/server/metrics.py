"""The metrics at /metrics, in Prometheus' format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """One server's metrics. Each server has a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("lantu_requests", "Answered requests", ["route", "status"], registry=registry)
        self.request_s = Histogram(
            "lantu_request_seconds",
            "Time from a request's first byte to its answer's last",
            ["route"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        self.errors = Counter("lantu_errors", "Answers and streams that ended in an error", ["code"], registry=registry)
        self.queue = Gauge("lantu_queue_depth", "Jobs waiting", registry=registry)
        self.running = Gauge("lantu_running", "Jobs running", registry=registry)
        self.wait_s = Histogram(
            "lantu_wait_seconds", "Time a job waits in the queue", buckets=BUCKETS_S, registry=registry
        )
        self.codes = Counter("lantu_codes", "Tokens drafted", registry=registry)
        self.rate = Gauge("lantu_codes_per_second", "Tokens drafted per second, moving average", registry=registry)
        self.rows = Gauge("lantu_rows_in_use", "Rows of the engine's batch in use", registry=registry)
        self.rows_all = Gauge("lantu_rows", "Rows of the engine's batch", registry=registry)
        self.pairs = Gauge("lantu_pairs_in_use", "Guided drafts, which take two rows each", registry=registry)
        self.steps = Counter("lantu_steps", "Forward passes of the engine", registry=registry)
        self.renders = Counter("lantu_renders", "Pictures rendered", registry=registry)
        self.render_s = Histogram(
            "lantu_render_seconds", "Time to render a group of pictures", buckets=BUCKETS_S, registry=registry
        )
        self.previews = Counter("lantu_previews", "Previews rendered", registry=registry)
        self.cancelled = Counter(
            "lantu_cancelled", "Jobs cancelled, because the client left or the deadline passed", registry=registry
        )
        self.refused = Counter(
            "lantu_refusals", "Refusals of the content filter: prompt, upload, picture", ["what"], registry=registry
        )

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
