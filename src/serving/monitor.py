"""What `/metrics` tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

PATHS = ("/", "/page.css", "/page.js", "/predict", "/healthz", "/metrics")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Monitor:
    """The counters of one server."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, CPU time, open files
        self._registry = registry
        self._requests = Counter(
            "resnet_zoo_requests", "requests answered, by path and HTTP status", ["path", "status"], registry=registry
        )
        self.images = Counter("resnet_zoo_images", "images classified", registry=registry)
        self.seconds = Histogram(
            "resnet_zoo_predict_seconds", "from a request's arrival to its answer", registry=registry, buckets=_SECONDS
        )
        self.batch_images = Histogram(
            "resnet_zoo_batch_images", "images that went through the network together", registry=registry, buckets=_SIZES
        )
        self.queue = Gauge("resnet_zoo_queue_images", "images that wait or are being classified", registry=registry)

    def count(self, path: str, status: int) -> None:
        """Counts an answer; paths that there are not count as one, so that nobody can make the list long."""
        self._requests.labels(path if path in PATHS else "other", str(status)).inc()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
