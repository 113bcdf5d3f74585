"""The page where visitors log in by the password, and the way out again."""

import logging
from typing import TypeVar

from apiflask import APIBlueprint
from flask import Flask, Response, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden, RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from app.web import door as doors
from app.web.attempts import SECONDS
from app.web.door import door
from app.web.languages import choose, declare
from app.web.request_record import record
from app.web.return_address import return_address
from app.web.templates import render_template
from image_embeddings import Settings

LONGEST_FORM = 10_000  # bytes

blueprint = APIBlueprint("login", __name__, enable_openapi=False)
blueprint.before_request(choose)
blueprint.after_request(declare)
log = logging.getLogger(__name__)
Answer = TypeVar("Answer", bound=BaseResponse)


def init_app(app: Flask, settings: Settings) -> None:
    """Close the app to visitors who may not come in (see `door`), and serve the page where they log in."""
    doors.init_app(app, settings)
    app.register_blueprint(blueprint)
    app.jinja_env.globals["can_log_out"] = lambda: door().has_session()


@blueprint.get("/login")
def show() -> ResponseReturnValue:
    """Show the page that asks for the password. A visitor who has logged in already is led on."""
    if door().password is None or door().lets_in():
        return redirect(_address())
    return _page()


@blueprint.post("/login")
def enter() -> ResponseReturnValue:
    """Begin a session if the password is right, and lead to the address that was asked for."""
    password, sessions = door().password, door().sessions
    if password is None or sessions is None:
        return redirect(_address(), 303)
    _refuse_other_sites()
    if seconds := door().attempts.take(request.remote_addr or ""):
        log.warning("Too many attempts to log in from %s", request.remote_addr or "a socket")
        return _page("too_many_attempts", status=429, seconds=seconds)
    if (request.content_length or 0) > LONGEST_FORM:  # `request_limits` bounds what comes without a length
        raise RequestEntityTooLarge
    if not password.is_right(request.form.get("password", "")):
        log.warning("A wrong password from %s", request.remote_addr or "a socket")
        return _page("wrong_password", status=403)
    response = _forbid_keeping(redirect(_address(), 303))
    sessions.begin(response)
    return response


@blueprint.post("/logout")
def leave() -> ResponseReturnValue:
    """End the session, and show the login page."""
    _refuse_other_sites()
    response = _forbid_keeping(redirect(url_for(".show"), 303))
    if (sessions := door().sessions) is not None:
        sessions.end(response)
    if request.is_secure:  # else browsers ignore it
        response.headers["Clear-Site-Data"] = '"cache"'  # the photos, on a computer that others use, too
    return response


def _refuse_other_sites() -> None:
    """Raise Forbidden if a page of another site has sent the form.

    Browsers say so by Sec-Fetch-Site, which counts also behind a proxy of which the app does not know. Over plain http
    they say it by Origin alone. Programs send neither, and no page can make them send a form.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:
        is_ours = origin is None or origin.partition("://")[2].lower() == request.host.lower()
    if not is_ours:
        raise Forbidden(
            "Another site has sent this form, or this one does not know its own address: see TRUSTED_PROXIES."
        )


def _address() -> str:
    """Return the address that the visitor asked for, else the one of the home page, both with a proxy's prefix."""
    address = return_address()
    return f"{request.script_root}{address}" if address else url_for("pages.home")


def _page(problem: str | None = None, *, status: int = 200, seconds: int = 0) -> Response:
    record().error_code = problem
    action = url_for(".enter", next=return_address())
    response = make_response(render_template("login.html", problem=problem, action=action, seconds=seconds), status)
    if seconds:
        response.headers["Retry-After"] = str(min(seconds, int(SECONDS)))
    return _forbid_keeping(response)


def _forbid_keeping(response: Answer) -> Answer:
    """Return the answer with a header that forbids all caches to keep it."""
    response.headers["Cache-Control"] = "no-store"
    return response
