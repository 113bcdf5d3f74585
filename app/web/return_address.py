"""The address that a visitor asked for, and comes back to after the login. It is always an address of this site."""

import re
from urllib.parse import quote, unquote

from flask import request

LONGEST = 1500  # characters; the address of the login page must not become longer than servers take
# The path of an address of ours, and its query. In a path that begins with "//" or "/\", browsers see another host.
# They leave out tabs and ends of lines, so "/<tab>/" is such a path, too.
_ADDRESS = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
_IN_A_PATH = "/:@!$&'()*+,;=~%"
_IN_A_QUERY = _IN_A_PATH + "?[]"


def asked_address() -> str | None:
    """Return path and query of the request, without a proxy's prefix; None if the login cannot lead back to them."""
    if request.method not in ("GET", "HEAD"):
        return None
    path = quote(request.path, safe=_IN_A_PATH.replace("%", ""))
    query = quote(request.query_string, safe=_IN_A_QUERY)
    address = f"{path}?{query}" if query else path
    if len(address) > LONGEST:
        address = path
    return address if address != "/" and _is_ours(address) else None


def return_address() -> str | None:
    """Return the address that the login page was asked to lead back to, without a proxy's prefix.

    Return None if no address was given, if it may be another site's, or if the app does not have it.
    """
    address = request.args.get("next", "")
    return address if _is_ours(address) else None


def _is_ours(address: str) -> bool:
    if len(address) > LONGEST or not _ADDRESS.fullmatch(address):
        return False
    path = unquote(address.partition("#")[0].partition("?")[0])
    # Browsers resolve "..", also as "%2e%2e", and so leave the prefix of a proxy.
    return not {".", ".."} & set(re.split(r"[/\\]", path)) and path not in ("/login", "/logout")
