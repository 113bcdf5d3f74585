"""Addresses, of which a page names hundreds. They are those of Flask's `url_for`, but cost less time."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, current_app, g, request, url_for

# The endpoints whose address ends in a path, and the name of that path.
_PATHS = {"static": "filename", "photos.image": "image_id", "photos.thumbnail": "image_id"}
_UNQUOTED = "!$&'()*+,/:;=@"  # characters that may stand in a path, as Werkzeug has them
_UNQUOTED_IN_QUERY = "!$'()*,/:;?@"  # and in a query
_needs_no_quotes = re.compile(f"[A-Za-z0-9_.~{re.escape(_UNQUOTED)}-]*").fullmatch
MOST_ROOTS = 20  # paths below which the app may be, each with addresses that are kept


def init_app(app: Flask) -> None:
    """Let templates make addresses by `address_of`, which they call `url_for`."""
    app.extensions["addresses"] = {}
    app.jinja_env.globals["url_for"] = address_of


def address_of(endpoint: str, **values: Any) -> str:
    """Return the address that `url_for` makes. Its beginning is made only once."""
    name = _PATHS.get(endpoint)
    path = values.get(name, "") if name else ""
    if len(values) > bool(path) or (name and not path):
        return url_for(endpoint, **values)
    try:
        beginnings: dict[str, str] = g.beginnings
    except AttributeError:
        beginnings = g.beginnings = _beginnings_below(request.script_root)
    beginning = beginnings.get(endpoint)
    if beginning is None:
        shortest: dict[str, Any] = {name: "-"} if name else {}
        beginning = url_for(endpoint, **shortest)
        beginning = beginnings[endpoint] = beginning[:-1] if name else beginning
    return beginning + (path if _needs_no_quotes(path) else quote(path, safe=_UNQUOTED))


def _beginnings_below(root: str) -> dict[str, str]:
    """Return the beginnings of addresses that are known, by endpoint, if the app is below the path `root`."""
    known: dict[str, dict[str, str]] = current_app.extensions["addresses"]
    if root not in known and len(known) >= MOST_ROOTS:
        known.clear()
    return known.setdefault(root, {})


def address_with(endpoint: str, parameters: Mapping[str, Sequence[str]], *, fragment: str | None = None) -> str:
    """Return the address of a page with a query. The fragment, if any, is of letters only."""
    query = urlencode(parameters, doseq=True, safe=_UNQUOTED_IN_QUERY)
    return address_of(endpoint) + (f"?{query}" if query else "") + (f"#{fragment}" if fragment else "")
