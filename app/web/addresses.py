"""Addresses of files and photos. A page has hundreds of them, so they are made faster than by Flask's `url_for`."""

from typing import Any
from urllib.parse import quote

from flask import Flask, g, url_for

# The endpoints whose address ends in a path, and the name of that path.
_PATHS = {"static": "filename", "photos.image": "image_id", "photos.thumbnail": "image_id"}
_UNQUOTED = "!$&'()*+,/:;=@"  # characters that may stand in a path, as Werkzeug has them


def init_app(app: Flask) -> None:
    """Let templates make addresses by `address_of`, which they call `url_for`."""
    app.jinja_env.globals["url_for"] = address_of


def address_of(endpoint: str, **values: Any) -> str:
    """Return the address that `url_for` makes. What it has made is kept for the rest of the request."""
    name = _PATHS.get(endpoint)
    path = values.get(name) if name else None
    if not path or len(values) > 1:
        return url_for(endpoint, **values)
    made: dict[tuple[str, str], str] | None = g.get("addresses")
    if made is None:
        made = g.addresses = {}
    address = made.get((endpoint, path))
    if address is None:
        beginning = made.get((endpoint, ""))
        if beginning is None:
            shortest: dict[str, Any] = {str(name): "-"}
            beginning = made[endpoint, ""] = url_for(endpoint, **shortest)[:-1]
        address = made[endpoint, path] = beginning + quote(path, safe=_UNQUOTED)
    return address
