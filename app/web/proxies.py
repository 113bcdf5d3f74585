"""What a reverse proxy says of a request: who sent it, and to which address. Only the headers of TRUSTED_PROXIES count.

The headers are those that nginx, Caddy and Traefik set: X-Forwarded-For, -Proto, -Host and -Prefix.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from flask import Flask, request

from image_embeddings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The headers, the variables of the environment that they replace, and the form of their values. The parts of a prefix
# are letters, digits and a few signs: neither "//name" nor "/\name", which browsers take for another site, nor anything
# that has a meaning in HTML, in a header or in the path of a cookie.
_VARIABLES = (
    ("X-Forwarded-Proto", "wsgi.url_scheme", re.compile("https?")),
    ("X-Forwarded-Host", "HTTP_HOST", re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII)),
    ("X-Forwarded-Prefix", "SCRIPT_NAME", re.compile(r"(/[\w~-][\w.~-]*)*/?", re.ASCII)),
)

_PEER = "image_search.peer"  # the variable with the address of the proxy, once REMOTE_ADDR has the sender's

log = logging.getLogger(__name__)


def init_app(app: Flask, settings: Settings) -> None:
    """Let the headers of the proxies that the settings trust count. Without such proxies, they have no effect."""
    if settings.trusted_proxies:
        proxies = TrustedProxies(app.wsgi_app, settings.trusted_proxies, auth_header=settings.auth_header)
        app.wsgi_app = proxies  # type: ignore[method-assign]


def peer_address() -> str:
    """Return the address that the request's connection comes from: the proxy's, if there is one; "" for a socket."""
    address: str = request.environ.get(_PEER) or request.environ.get("REMOTE_ADDR") or ""
    return address


class TrustedProxies:
    """The app, for requests as the reader's browser has sent them to the proxy.

    Of several values of a header only the last counts: the nearest proxy has set it, and others may be forged.
    `auth_header`, by which a proxy names whom it has let in, is removed if anybody else sends it.
    """

    def __init__(
        self,
        app: WSGIApplication,
        networks: Sequence[IPv4Network | IPv6Network],
        *,
        auth_header: str | None = None,
    ) -> None:
        self._app = app
        self._networks = networks
        self._auth_variable = _variable(auth_header) if auth_header else None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request. If a header of a trusted proxy does not have its form, the answer is 400."""
        peer = environ.get("REMOTE_ADDR", "")
        if not self._is_trusted(peer):
            if self._auth_variable:
                environ.pop(self._auth_variable, None)
            return self._app(environ, start_response)
        try:
            forwarded = dict(_forwarded_variables(environ))
        except ValueError as error:
            log.warning("%s", error)
            start_response("400 Bad Request", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{error} See TRUSTED_PROXIES.\n".encode()]
        sender = self._sender(environ)
        return self._app({**environ, **forwarded, "REMOTE_ADDR": sender, _PEER: peer}, start_response)

    def _sender(self, environ: WSGIEnvironment) -> str:
        """Return the last address that is not a trusted proxy's. The proxies have seen it themselves."""
        sender: str = environ["REMOTE_ADDR"]
        for said in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            if not self._is_trusted(sender) or (address := _address(said)) is None:
                break
            sender = str(address)
        return sender

    def _is_trusted(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address of a text, which may have a port; None if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address  # a socket for both kinds shows IPv4 as ::ffff:10.0.0.1


def _forwarded_variables(environ: WSGIEnvironment) -> Iterator[tuple[str, str]]:
    """Yield the variables of the environment that the proxy's headers replace.

    Raise ValueError if one of them does not have its form.
    """
    for header, variable, form in _VARIABLES:
        value = environ.get(_variable(header), "").rpartition(",")[2].strip()
        if value and not form.fullmatch(value):
            raise ValueError(f"The proxy's {header} cannot be used: {value[:100]!r}.")
        if value:
            yield variable, value.rstrip("/")


def _variable(header: str) -> str:
    """Return the variable of the environment that has the value of a header."""
    return f"HTTP_{header.upper().replace('-', '_')}"
