"""Answers that the server gives by itself, because the app never sees the request."""

import json
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from uuid import uuid4

_AS_JSON = ("/healthz", "/readyz", "/metrics")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request is not served. `retry_after` is in seconds."""

    status: HTTPStatus
    code: str
    message: str
    retry_after: int | None = None


BUSY = Refusal(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    code="server_busy",
    message="Too many requests are waiting. Try again in a few seconds.",
    retry_after=3,
)
SLOW = Refusal(status=HTTPStatus.REQUEST_TIMEOUT, code="request_timeout", message="The request did not arrive in time.")
LONG_HEAD = Refusal(
    status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    code="request_header_fields_too_large",
    message="The headers of the request are too long.",
)


def answer(refusal: Refusal, *, method: str, path: str) -> bytes:
    """Return the whole answer, after which the connection is closed. It is JSON if the app would answer by JSON."""
    if path.startswith("/api/") or path in _AS_JSON:
        error = {"code": refusal.code, "message": refusal.message, "request_id": uuid4().hex}
        kind, body = "application/json", json.dumps({"error": error}).encode()
    else:
        kind, body = "text/plain; charset=utf-8", f"{refusal.message}\n".encode()
    lines = [
        f"HTTP/1.1 {refusal.status.value} {refusal.status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    if refusal.retry_after is not None:
        lines.append(f"Retry-After: {refusal.retry_after}")
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    return head if method == "HEAD" else head + body
