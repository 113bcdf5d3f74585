"""The Prometheus counters, and their page /metrics. `request_record` counts each request."""

from apiflask import APIFlask
from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

blueprint = Blueprint("metrics", __name__)

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The counters of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "HTTP requests", "endpoint", "status")
        self.request_seconds = self._histogram("request_seconds", "Time to answer", "endpoint")
        self.searches = self._counter("searches", "Searches, by what was asked with", "kind", "outcome")
        self.stage_seconds = self._histogram("stage_seconds", "Time of the stages of answered searches", "stage")
        self.errors = self._counter("errors", "Answers with an error, by its code", "code")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"image_search_{name}", what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, *labels: str) -> Histogram:
        return Histogram(f"image_search_{name}", what, labels, registry=self.registry, buckets=SECONDS)

    def count_error(self, code: str) -> None:
        """Count an answer with an error."""
        self.errors.labels(code).inc()

    def exposition(self) -> bytes:
        """Return the counts in the text format of Prometheus; of all processes of the server if they share counts."""
        shared = CollectorRegistry()
        try:
            MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        except ValueError:  # gunicorn.conf.py named no folder to share them in: this process is the only one
            return generate_latest(self.registry)
        return generate_latest(shared)


def init_app(app: APIFlask) -> Metrics:
    """Serve the counts. Return the counters."""
    metrics = app.extensions["metrics"] = Metrics()
    app.register_blueprint(blueprint)
    return metrics


@blueprint.get("/metrics")
def exposition() -> Response:
    """Answer with the counts in the text format of Prometheus."""
    metrics: Metrics = current_app.extensions["metrics"]
    return Response(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
