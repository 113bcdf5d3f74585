"""How the browser and the API show errors: one page, and one JSON shape."""

import logging
from collections.abc import Iterator
from typing import Any

from apiflask import APIFlask, HTTPError
from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, SecurityError

from app.services import services
from app.web.forms import MALFORMED
from app.web.languages import declare
from app.web.request_limits import FormTooLargeError
from app.web.request_record import record
from app.web.templates import render_template
from app.web.visitors import UNEXPECTED, in_own_language, message_of
from image_embeddings import errors

_STATUS: tuple[tuple[type[errors.ImageSearchError], int], ...] = (
    (errors.QueryError, 400),
    (errors.ImageTooLargeError, 413),
    (errors.ImageSlowError, 413),
    (errors.ImageMemoryError, 503),
    (errors.DecodersBusyError, 503),
    (errors.ImageError, 415),
    (errors.ImageNotFoundError, 404),
    (errors.IndexStateError, 503),
    (errors.ElasticsearchError, 503),
    (errors.TextModelInputError, 400),
    (errors.ModelError, 503),
    (errors.EmbeddedNodeError, 503),
    (errors.SettingError, 503),
    (errors.DataDirError, 503),
    (errors.CorpusError, 503),
    (errors.StoreError, 503),
)

MOST_PROBLEMS = 5  # that an answer names
_SECONDS_TO_WAIT: dict[type[errors.ImageSearchError], int] = {  # until somebody may ask again, of errors that pass
    errors.NodeStartingError: 5,
    errors.DecodersBusyError: 2,
}

log = logging.getLogger(__name__)


def init_app(app: APIFlask) -> None:
    """Register the error handlers."""
    app.error_processor(_handle_invalid_input)  # also takes HTTPException, so our handler of it must come later
    app.register_error_handler(errors.ImageSearchError, _handle_our_error)
    app.register_error_handler(HTTPException, _handle_http_error)
    app.register_error_handler(ParseException, _handle_malformed_body)
    app.register_error_handler(Exception, _handle_unexpected_error)


def status_of(error: errors.ImageSearchError) -> int:
    """Return the HTTP status for one of our errors; 500 if it has none."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def body_of(*, code: str, message: str) -> dict[str, dict[str, str]]:
    """Return the JSON body of an error, and record its code for the current request."""
    record().error_code = code
    return {"error": {"code": code, "message": message, "request_id": record().request_id}}


def error_page(error: errors.ImageSearchError, **context: Any) -> Response:
    """Return a page that says what went wrong; `context` holds what else it shows, such as the search bar."""
    page = _page(body_of(code=error.code, message=message_of(error)), status_of(error), **context)
    return invite_again(page, error)


def invite_again(response: Response, error: errors.ImageSearchError) -> Response:
    """Return the answer, which says when to ask again if the error passes. Pages do so by themselves."""
    if seconds := _SECONDS_TO_WAIT.get(type(error)):
        response.headers["Retry-After"] = str(seconds)
        if request.method == "GET" and response.mimetype == "text/html":
            response.headers["Refresh"] = str(seconds)
    return response


def _handle_our_error(error: errors.ImageSearchError) -> ResponseReturnValue:
    if _is_our_fault(error):
        return _handle_unexpected_error(error)
    status = status_of(error)
    message = message_of(error, level=logging.WARNING if status >= 500 else logging.INFO)
    if isinstance(error, errors.UnreachableError):
        services().reconnect()
    return invite_again(_answer(error.code, message, status), error)


def _is_our_fault(error: errors.ImageSearchError) -> bool:
    """Return whether Elasticsearch cannot read a request. The app made it, so no visitor can correct it."""
    blocked = (errors.BlockedError, errors.DiskFullError)
    return isinstance(error, errors.RequestError) and error.status == 400 and not isinstance(error, blocked)


def _handle_http_error(error: HTTPException) -> ResponseReturnValue:
    if isinstance(error, RequestEntityTooLarge) and not isinstance(error, FormTooLargeError):
        limit = services().settings.max_content_length
        message = f"The upload is larger than {limit:,} bytes. Send a smaller photo, or raise MAX_CONTENT_LENGTH."
        if request.content_length is not None and request.content_length <= limit:
            message = "The form has more or larger fields than a search needs. Send one photo, k and offset."
        return _answer("image_too_large", message, 413)
    if isinstance(error, SecurityError):  # raised before the app can make addresses, which a page needs
        record().error_code = "bad_request"
        return Response(f"{error.description} See TRUSTED_HOSTS.\n", 400, content_type="text/plain")
    code = (error.name or "error").lower().replace(" ", "_")
    answer = _answer(code, error.description or code, error.code or 500)
    for name, value in error.get_headers():
        if name in ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate"):
            answer.headers[name] = value
    return answer


def _handle_malformed_body(error: ParseException) -> ResponseReturnValue:
    """Answer a request whose body gunicorn cannot read, such as one with a malformed chunk."""
    return _answer("bad_request", MALFORMED, 400)


def _handle_invalid_input(error: HTTPError) -> Response:
    """Answer a request whose query parameters or form fields do not fit the API's schemas."""
    message = describe_problems(list((error.detail or {}).values()))
    return _answer("bad_query", message or str(error.message), error.status_code)


def describe_problems(said: Any) -> str:
    """Return the messages of marshmallow in one line, MOST_PROBLEMS at most."""
    problems = [problem for fields in (said if isinstance(said, list) else [said]) for problem in _problems_of(fields)]
    more = len(problems) - MOST_PROBLEMS
    return "; ".join(problems[:MOST_PROBLEMS]) + (f"; and {more:,} more" if more > 0 else "")


def _problems_of(said: Any, *names: str) -> Iterator[str]:
    """Yield the messages of marshmallow as lines: its dicts are keyed by field and, within lists, by position."""
    if isinstance(said, dict):
        for name, inner in said.items():
            yield from _problems_of(inner, *names, *([errors.shorten(name)] if isinstance(name, str) else ()))
    elif isinstance(said, list):
        yield f"{'.'.join(names)}: {' '.join(map(str, said))}"


def _handle_unexpected_error(error: Exception) -> ResponseReturnValue:
    log.error("unexpected error at %r", request.path, exc_info=error)
    return _answer("internal_error", UNEXPECTED, 500)


def is_for_programs() -> bool:
    """Return whether programs ask at the address of the request, so that errors there are JSON and no pages."""
    return request.path.startswith("/api/") or request.path in ("/healthz", "/readyz", "/metrics")


def _answer(code: str, message: str, status: int) -> Response:
    body = body_of(code=code, message=message)
    if is_for_programs():
        response = jsonify(body)
        response.status_code = status
        return response
    return _page(body, status)


def _page(body: dict[str, dict[str, str]], status: int, **context: Any) -> Response:
    said = {**body["error"], **context, "message": in_own_language(body["error"]["message"])}
    return declare(Response(render_template("error.html", status=status, **said), status))
