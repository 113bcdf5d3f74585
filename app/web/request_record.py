"""What is known of the request that is being answered: errors, logs and metrics write it here and read it here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from uuid import uuid4

from apiflask import APIFlask
from flask import Response, g, has_request_context, request

HEADER = "X-Request-ID"
SANE_ID = re.compile(r"[\w.:/+=@-]{1,100}", re.ASCII)  # whatever reads the logs may be simple


@dataclass
class RequestRecord:
    """One request, from its first moment on."""

    request_id: str
    begun: float = field(default_factory=perf_counter)
    search_kind: str | None = None  # text, like, upload, several, browse: what it searches with
    took_ms: Mapping[str, float] | None = None  # of the search that answered it
    hits: int = 0
    error_code: str | None = None

    @property
    def milliseconds(self) -> float:
        """How long it has taken until now."""
        return (perf_counter() - self.begun) * 1000


def init_app(app: APIFlask) -> None:
    """Begins a record with each request, and names it in each answer."""
    app.before_request(_begin)
    app.after_request(_name)


def record() -> RequestRecord:
    """That of the current request."""
    found: RequestRecord = g.get("record") or _begin_new()
    return found


def request_fields() -> dict[str, str]:
    """The current request's id, for log lines; nothing outside of a request."""
    return {"request_id": record().request_id} if has_request_context() else {}


def _begin() -> None:
    _begin_new()


def _begin_new() -> RequestRecord:
    sent = request.headers.get(HEADER, "")
    g.record = RequestRecord(request_id=sent if SANE_ID.fullmatch(sent) else uuid4().hex)
    return g.record  # type: ignore[no-any-return]


def _name(response: Response) -> Response:
    response.headers[HEADER] = record().request_id
    return response
