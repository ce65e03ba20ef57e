"""What can be watched at /metrics, in Prometheus' format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Each server has its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("lantu_requests", "Answers", ["route", "status"], registry=registry)
        self.request_s = Histogram(
            "lantu_request_seconds",
            "From a request's first byte to its answer's last",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.errors = Counter("lantu_errors", "Answers and streams that ended in an error", ["code"], registry=registry)
        self.queue = Gauge("lantu_queue_depth", "Pictures and answers that wait", registry=registry)
        self.running = Gauge("lantu_running", "Pictures and answers on their way", registry=registry)
        self.wait_s = Histogram("lantu_wait_seconds", "In the queue", buckets=SECONDS, registry=registry)
        self.codes = Counter("lantu_codes", "Ids drafted", registry=registry)
        self.rate = Gauge("lantu_codes_per_second", "Ids drafted a second of drafting, lately", registry=registry)
        self.rows = Gauge("lantu_rows_in_use", "Rows of the engine that draft", registry=registry)
        self.rows_all = Gauge("lantu_rows", "Rows of the engine", registry=registry)
        self.pairs = Gauge("lantu_pairs_in_use", "Of them, guided drafts that take two rows", registry=registry)
        self.steps = Counter("lantu_steps", "Forward passes of the engine", registry=registry)
        self.renders = Counter("lantu_renders", "Pictures painted", registry=registry)
        self.render_s = Histogram(
            "lantu_render_seconds", "To paint a group of pictures", buckets=SECONDS, registry=registry
        )
        self.previews = Counter("lantu_previews", "Previews painted", registry=registry)
        self.cancelled = Counter("lantu_cancelled", "Drawings given up, their client gone or late", registry=registry)
        self.refused = Counter(
            "lantu_refusals", "What the content filter refused: prompt, upload, picture", ["what"], registry=registry
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)
