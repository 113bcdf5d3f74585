"""How large a request may be. The bounds of each parameter are in app/search_request/schemas.py."""

from typing import Any

from apiflask import APIFlask
from flask import request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge, RequestURITooLarge

MAX_ADDRESS = 8_000  # bytes of the part of an address after the question mark
MAX_FORM = 64 * 1024  # bytes of a form without files, and characters of the fields beside the files of a form
MAX_FIELDS = 500  # of an address, and of a form
PICTURE = "picture"  # the field of a form that has the copy of a photo; `MAX_COPY` bounds it
URLENCODED = "application/x-www-form-urlencoded"


class FormTooLargeError(RequestEntityTooLarge):
    """A form with more or longer fields than a search needs."""

    description = "The form has more or longer fields than a search needs. Leave something out."


def init_app(app: APIFlask) -> None:
    """Refuse requests that are too large before anything is made of them."""
    app.before_request(_check_size)


def is_address_too_long() -> bool:
    """Return whether the current request's address has more than a search needs."""
    return len(request.query_string) > MAX_ADDRESS or _count(request.args) > MAX_FIELDS


def _check_size() -> None:
    if request.routing_exception:
        return
    if is_address_too_long():
        raise RequestURITooLarge(
            f"The address has {len(request.query_string):,} bytes and {_count(request.args):,} fields; {MAX_ADDRESS:,} "
            f"bytes and {MAX_FIELDS} fields at most. Send a form instead, or leave something out."
        )
    if request.method == "POST":
        _check_form()


def _check_form() -> None:
    """Refuse a form that is too large. If it has no files, refuse it before the rest of it is read."""
    if request.mimetype == URLENCODED:
        request.max_content_length = min(MAX_FORM + 1, request.max_content_length or MAX_FORM + 1)
        if (request.content_length or 0) > MAX_FORM or len(request.get_data()) > MAX_FORM:
            raise FormTooLargeError
    texts = [(name, value) for name, value in request.form.items(multi=True) if name != PICTURE]
    length = sum(len(name or "") + len(value) for name, value in texts)  # a part of a form may have no name
    if length > MAX_FORM or _count(request.form) + _count(request.files) > MAX_FIELDS:
        raise FormTooLargeError


def _count(fields: MultiDict[str, Any]) -> int:
    return sum(len(values) for _, values in fields.lists())
