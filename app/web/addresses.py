"""Addresses, of which a page names hundreds. They are those of Flask's `url_for`, but cost less time."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, g, url_for

# The endpoints whose address ends in a path, and the name of that path.
_PATHS = {"static": "filename", "photos.image": "image_id", "photos.thumbnail": "image_id"}
_UNQUOTED = "!$&'()*+,/:;=@"  # characters that may stand in a path, as Werkzeug has them
_UNQUOTED_IN_QUERY = "!$'()*,/:;?@"  # and in a query


def init_app(app: Flask) -> None:
    """Let templates make addresses by `address_of`, which they call `url_for`."""
    app.jinja_env.globals["url_for"] = address_of


def address_of(endpoint: str, **values: Any) -> str:
    """Return the address that `url_for` makes. What it has made is kept for the rest of the request."""
    name = _PATHS.get(endpoint)
    path = values.get(name, "") if name else ""
    if len(values) > bool(path) or (name and not path):
        return url_for(endpoint, **values)
    try:
        made: dict[tuple[str, str], str] = g.addresses
    except AttributeError:
        made = g.addresses = {}
    address = made.get((endpoint, path))
    if address is None:
        address = _begin(endpoint, name, made) + quote(path, safe=_UNQUOTED)
        made[endpoint, path] = address
    return address


def _begin(endpoint: str, name: str | None, made: dict[tuple[str, str], str]) -> str:
    """Return the addresses of an endpoint up to their path; the whole address if it has none."""
    if not name:
        return url_for(endpoint)
    beginning = made.get((endpoint, ""))
    if beginning is None:
        shortest: dict[str, Any] = {name: "-"}
        beginning = made[endpoint, ""] = url_for(endpoint, **shortest)[:-1]
    return beginning


def address_with(endpoint: str, parameters: Mapping[str, Sequence[str]], *, fragment: str | None = None) -> str:
    """Return the address of a page with a query. The fragment, if any, is of letters only."""
    query = urlencode(parameters, doseq=True, safe=_UNQUOTED_IN_QUERY)
    return address_of(endpoint) + (f"?{query}" if query else "") + (f"#{fragment}" if fragment else "")
