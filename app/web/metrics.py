"""Prometheus counters at /metrics, and the Server-Timing of searches."""

from collections.abc import Mapping

from apiflask import APIFlask
from flask import Blueprint, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.web.request_record import record

blueprint = Blueprint("metrics", __name__)

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
APP = "app"  # the stage outside the search: HTTP, templates, JSON


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

    def exposition(self) -> bytes:
        """Return the counts in the text format of Prometheus; of all processes of the server if they share counts."""
        shared = CollectorRegistry()
        try:
            MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        except ValueError:  # gunicorn.conf.py named no folder to share them in: this process is the only one
            return generate_latest(self.registry)
        return generate_latest(shared)


def init_app(app: APIFlask) -> None:
    """Count every request, and serve the counts."""
    app.extensions["metrics"] = Metrics()
    app.after_request(_count)
    app.register_blueprint(blueprint)


@blueprint.get("/metrics")
def exposition() -> Response:
    """Answer with the counts in the text format of Prometheus."""
    return Response(_metrics().exposition(), content_type=CONTENT_TYPE_LATEST)


def _count(response: Response) -> Response:
    metrics, seen = _metrics(), record()
    endpoint = request.endpoint or "none"
    metrics.requests.labels(endpoint, response.status_code).inc()
    metrics.request_seconds.labels(endpoint).observe(seen.milliseconds / 1000)
    if seen.error_code:
        metrics.errors.labels(seen.error_code).inc()
    if seen.search_kind:
        metrics.searches.labels(seen.search_kind, _outcome(response.status_code)).inc()
    if seen.took_ms and not seen.error_code:
        _tell_stages(response, {**seen.took_ms, APP: seen.milliseconds - seen.took_ms["total"]})
    return response


def _tell_stages(response: Response, took_ms: Mapping[str, float]) -> None:
    response.headers["Server-Timing"] = ", ".join(f"{name};dur={took:.2f}" for name, took in took_ms.items())
    for name, took in took_ms.items():
        _metrics().stage_seconds.labels(name).observe(took / 1000)


def _outcome(status: int) -> str:
    if status >= 400:
        return "failed" if status >= 500 else "refused"
    return "found" if record().hits else "nothing"


def _metrics() -> Metrics:
    found: Metrics = current_app.extensions["metrics"]
    return found
