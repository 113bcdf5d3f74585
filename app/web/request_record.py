"""The record of the current request, which errors, metrics and log lines share.

At its end, the request is counted in the metrics and has an access line in the log.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import quote
from uuid import uuid4

from apiflask import APIFlask
from flask import Response, g, has_request_context, request

from app.web.metrics import Metrics
from image_embeddings import SearchResult, Settings, left_out_message, log_formatter

IN_A_PATH = "/:@!$&'()*+,;=~"  # characters that are not quoted in a path
WERKZEUGS_ACCESS_LINE = '"%s" %s %s'  # the end of its message, before the values are inserted
HEADER = "X-Request-ID"
APP = "app"  # the stage outside the search: HTTP, templates, JSON
SANE_ID = re.compile(r"[\w.:/+=@-]{1,100}", re.ASCII)  # safe also for simple programs that read logs

access = logging.getLogger("app.access")
log = logging.getLogger(__name__)


@dataclass
class RequestRecord:
    """What is known of one request, from its start on."""

    request_id: str
    begun: float = field(default_factory=perf_counter)
    search_kind: str | None = None  # what it searches with: text, like, upload, several or browse
    took_ms: Mapping[str, float] | None = None  # of the search that answered it
    hits: int = 0
    error_code: str | None = None
    left_out: list[str] = field(default_factory=list)  # ids of documents in the index that the app did not write

    @property
    def milliseconds(self) -> float:
        """The time since the request began."""
        return (perf_counter() - self.begun) * 1000


def init_app(app: APIFlask, settings: Settings, metrics: Metrics) -> None:
    """Begin a record for each request. At its end, put its id into a header, count it, and write an access line.

    Log lines are printed as the settings say, unless logging is set up already.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter(settings.log_format, fields=request_fields))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("app").setLevel(logging.INFO)
    logging.getLogger("werkzeug").addFilter(_is_no_access_line)

    app.before_request(_begin)

    @app.after_request
    def end(response: Response) -> Response:
        seen = record()
        response.headers[HEADER] = seen.request_id
        _count(seen, response, metrics)
        if seen.left_out:
            log.warning("%s", left_out_message(seen.left_out))
        if access.isEnabledFor(logging.INFO):
            _tell(seen, response.status_code, with_query=settings.log_queries)
        return response


def record() -> RequestRecord:
    """Return the record of the current request."""
    found: RequestRecord = g.get("record") or _begin_new()
    return found


def record_result(result: SearchResult) -> SearchResult:
    """Record the times and the number of hits of a search, for the answer's header and the metrics; return it."""
    record().took_ms, record().hits = result.took_ms, len(result.hits)
    record().left_out += result.left_out
    return result


def request_fields() -> dict[str, str]:
    """Return the id of the current request, for log lines; an empty dict outside a request."""
    return {"request_id": record().request_id} if has_request_context() else {}


def _begin() -> None:
    _begin_new()


def _begin_new() -> RequestRecord:
    sent = request.headers.get(HEADER, "")
    g.record = RequestRecord(request_id=sent if SANE_ID.fullmatch(sent) else uuid4().hex)
    return g.record  # type: ignore[no-any-return]


def _count(seen: RequestRecord, response: Response, metrics: Metrics) -> None:
    """Count the request, and tell the browser the times of its stages."""
    endpoint = request.endpoint or "none"
    metrics.requests.labels(endpoint, response.status_code).inc()
    metrics.request_seconds.labels(endpoint).observe(seen.milliseconds / 1000)
    if seen.error_code:
        metrics.count_error(seen.error_code)
    if seen.search_kind:
        metrics.searches.labels(seen.search_kind, _outcome(seen, response.status_code)).inc()
    if seen.took_ms and not seen.error_code:
        stages = {**seen.took_ms, APP: seen.milliseconds - seen.took_ms["total"]}
        response.headers["Server-Timing"] = ", ".join(f"{name};dur={took:.2f}" for name, took in stages.items())
        for name, took in stages.items():
            metrics.stage_seconds.labels(name).observe(took / 1000)


def _outcome(seen: RequestRecord, status: int) -> str:
    if status >= 400:
        return "failed" if status >= 500 else "refused"
    return "found" if seen.hits else "nothing"


def _tell(seen: RequestRecord, status: int, *, with_query: bool) -> None:
    """Write the access line. It has no query unless `with_query`, because a query may be a person's search."""
    path = quote(request.path, safe=IN_A_PATH)
    if with_query and request.query_string:
        path += "?" + quote(request.query_string, safe=IN_A_PATH + "?%")
    milliseconds = round(seen.milliseconds, 2)
    fields = {
        "method": request.method,
        "path": path,
        "status": status,
        "ms": milliseconds,
        "endpoint": request.endpoint,
        "error": seen.error_code,
    }
    code = f" {seen.error_code}" if seen.error_code else ""
    access.info("%s %s %d %.1f ms%s", request.method, path, status, milliseconds, code, extra={"fields": fields})


def _is_no_access_line(line: logging.LogRecord) -> bool:
    """Return False for the line that `flask run` prints for each request, because it contains the query."""
    return not str(line.msg).endswith(WERKZEUGS_ACCESS_LINE)
