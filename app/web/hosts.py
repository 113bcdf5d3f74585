"""Which host names the app answers to.

A web site can let a name of its own lead to this machine (DNS rebinding). The browser then takes the app for a part of
that site and lets the site read it. So the app answers only to names that no web site can have, and to those of
TRUSTED_HOSTS.
"""

import re
import socket
from collections.abc import Set
from functools import lru_cache
from ipaddress import ip_address

from flask import Flask, request
from werkzeug.exceptions import BadRequest, SecurityError

from image_embeddings import Settings

ANY = "*"
# Endings that home and office networks give to the names of their machines. Nobody can register a name with them.
PRIVATE_ENDINGS = ("local", "lan", "home.arpa", "internal")
HOSTS_KEPT = 100  # with the answer whether they are trusted
_HOST = re.compile(r"(?:(?P<name>[\w.-]+)|\[(?P<ipv6>[\dA-F]*:[\dA-F:.]+)\])(?::\d{0,5})?", re.ASCII | re.IGNORECASE)


def init_app(app: Flask, settings: Settings) -> None:
    """Answer 400 to requests for other host names. Behind a trusted proxy, the name is that of X-Forwarded-Host."""
    is_any_trusted = ANY in settings.trusted_hosts
    names = frozenset((*settings.trusted_hosts, *own_names(socket.gethostname())))

    @app.before_request
    def refuse_other_names() -> None:
        host = request.environ.get("HTTP_HOST")
        if host is None:  # only in HTTP/1.0 may a client leave it out: RFC 9112, section 3.2
            if request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
                raise BadRequest("The request does not say for which host it is (the header Host).")
        elif not is_any_trusted and not is_trusted(host, names):
            raise SecurityError(
                f"The app does not answer to the name {host[:100]!r}. Use the address in digits, or add the name."
            )


def own_names(hostname: str) -> frozenset[str]:
    """Return the names by which other computers of the network know a machine with this host name."""
    whole = hostname.lower()
    first = whole.partition(".")[0]
    return frozenset((whole, first, *(f"{first}.{ending}" for ending in PRIVATE_ENDINGS))) if first else frozenset()


@lru_cache(HOSTS_KEPT)
def is_trusted(host: str, names: frozenset[str]) -> bool:
    """Return whether a request for `host`, as the header Host has it, is answered.

    It is if the host is an IP address, localhost or a name below it, or one of `names`.
    """
    return is_among(host, names | {"localhost", ".localhost"}) or _is_address(_without_port(host))


def is_among(host: str, names: Set[str]) -> bool:
    """Return whether `host`, which may have a port, is one of these names, which are in lower case.

    A name that begins with a dot stands for all names that end with it.
    """
    name = _without_port(host).lower()
    return bool(name) and not names.isdisjoint(
        (name, *(name[place:] for place, letter in enumerate(name) if letter == "." and place))
    )


def _without_port(host: str) -> str:
    """Return the name or the address; an empty text if it has another form."""
    match = _HOST.fullmatch(host)
    return (match["name"] or match["ipv6"]).removesuffix(".") if match else ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
