"""Prometheus counters of one process, at /metrics."""

from time import perf_counter

from apiflask import APIFlask
from flask import Blueprint, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

from image_embeddings import SearchResult

blueprint = Blueprint("metrics", __name__)


class Metrics:
    """The app's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "image_search_requests", "HTTP requests", ["endpoint", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "image_search_request_seconds", "Time to answer", ["endpoint"], registry=self.registry
        )
        self.stage_seconds = Histogram(
            "image_search_stage_seconds", "Time of a search's stages", ["stage"], registry=self.registry
        )


def init_app(app: APIFlask) -> None:
    """Counts every request and serves the counts."""
    metrics = app.extensions["metrics"] = Metrics()

    @app.before_request
    def begin() -> None:
        g.begun = perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        endpoint = request.endpoint or "none"
        metrics.requests.labels(endpoint, response.status_code).inc()
        metrics.request_seconds.labels(endpoint).observe(perf_counter() - g.begun)
        return response

    app.register_blueprint(blueprint)


@blueprint.get("/metrics")
def exposition() -> Response:
    """The counts, as Prometheus reads them."""
    metrics: Metrics = current_app.extensions["metrics"]
    return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)


def observe(result: SearchResult) -> SearchResult:
    """Counts the stages of a search; gives it back."""
    metrics: Metrics = current_app.extensions["metrics"]
    for stage, milliseconds in result.took_ms.items():
        metrics.stage_seconds.labels(stage).observe(milliseconds / 1000)
    return result
