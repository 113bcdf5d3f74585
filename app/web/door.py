"""Who may come in: every address of the app is closed but a few.

A visitor may come in with a session, with a token, or if a trusted proxy names the visitor. Without APP_PASSWORD and
AUTH_HEADER, everybody on this machine may come in, and nobody else.
"""

from flask import Flask, Response, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, SecurityError, Unauthorized

from app.web.attempts import Attempts
from app.web.errors import is_for_programs
from app.web.passwords import Password, Tokens, derive
from app.web.proxies import peer_address
from app.web.request_record import record
from app.web.return_address import asked_address
from app.web.sessions import ENDED_FILE, EndedSessions, Sessions
from image_embeddings import EXPOSURE_REMEDIES, Access, Settings, is_this_machine, read_access, session_secret

# These endpoints are open to everybody. All others are closed, also those that will be added.
OPEN_ENDPOINTS = frozenset({"health.healthz", "static", "login.show", "login.enter"})
REALM = "Image search"


class Door:
    """What lets a visitor in."""

    def __init__(self, access: Access, settings: Settings) -> None:
        self.is_closed = access.is_closed
        self.anybody = access.anybody
        self.attempts = Attempts()
        self._tokens = Tokens(access.tokens)
        self._header = access.auth_header
        self.password: Password | None = None
        self.sessions: Sessions | None = None
        if access.password is not None:
            secret = session_secret(settings)
            self.password = Password(access.password, secret=secret)
            self.sessions = Sessions(
                self.password.session_key,
                # Cookies are for all ports of a host: two of these apps must not overwrite each other's.
                cookie=f"login_{derive(secret, 'name of the cookie').hex()[:8]}",
                ended=EndedSessions(settings.data_dir / ENDED_FILE),
            )

    def lets_in(self) -> bool:
        """Return whether the sender of the request may come in."""
        return self.has_session() or self._has_token() or self._is_named_by_proxy()

    def has_session(self) -> bool:
        """Return whether the request belongs to a visitor who has logged in here."""
        return self.sessions is not None and self.sessions.current() is not None

    def _has_token(self) -> bool:
        token = sent_token()
        return token is not None and self._tokens.has(token)

    def _is_named_by_proxy(self) -> bool:
        """Return whether the header names somebody. `proxies` removes the header unless a trusted proxy has sent it."""
        return self._header is not None and bool(request.headers.get(self._header, "").strip())


def door() -> Door:
    """Return the door of the current app."""
    found: Door = current_app.extensions["door"]
    return found


def init_app(app: Flask, settings: Settings) -> None:
    """Close every address of the app but a few.

    Raise SettingError or DataDirError if the password, the tokens or the key of the sessions cannot be read.
    """
    app.extensions["door"] = Door(read_access(settings), settings)
    app.before_request(_close)


def sent_token() -> str | None:
    """Return the token that the request has sent, or None if it has sent none."""
    sent = request.authorization
    return sent.token if sent is not None and sent.type == "bearer" else None


def _close() -> ResponseReturnValue | None:
    """Refuse the request, unless it may come in or its address is open."""
    if request.endpoint in OPEN_ENDPOINTS or isinstance(request.routing_exception, SecurityError):
        return None  # SecurityError is the answer to a name that is not in TRUSTED_HOSTS
    if door().is_closed:
        return None if door().lets_in() else _refuse()
    peer = peer_address()
    if door().anybody or not peer or is_this_machine(peer):  # a socket in the file system has no address
        return None
    raise Forbidden(f"This web app has no password, so it answers only on its own machine. {EXPOSURE_REMEDIES}.")


def _refuse() -> ResponseReturnValue:
    """Lead people to the login page. Answer 401 to programs and to requests for pictures."""
    record().error_code = "unauthorized"
    if request.blueprint == "photos" and "text/html" not in request.headers.get("Accept", ""):
        return Response(status=401, headers={"WWW-Authenticate": _challenge().to_header(), "Cache-Control": "no-store"})
    if is_for_programs() or door().password is None:
        raise Unauthorized(_remedy(), www_authenticate=_challenge())
    response = redirect(url_for("login.show", next=asked_address()), 303)
    response.headers["Cache-Control"] = "no-store"
    return response


def _remedy() -> str:
    if sent_token() is not None:
        return "The token is not one of API_TOKENS."
    if is_for_programs():
        return "Send a token of API_TOKENS, in a header “Authorization: Bearer TOKEN”, or log in by the page /login."
    return "The proxy in front of this web app has not said who you are. Log in there, and come back."


def _challenge() -> WWWAuthenticate:
    wrong = {"error": "invalid_token"} if sent_token() is not None else {}
    return WWWAuthenticate("bearer", {"realm": REALM, **wrong})
