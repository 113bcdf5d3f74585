"""The cookies of the app. All of them are for this app alone: no script reads them, and no other site sends them."""

from typing import Any

from flask import request
from werkzeug.wrappers import Response


def set_cookie(response: Response, name: str, value: str, *, max_age: int) -> None:
    """Let the browser keep a cookie for `max_age` seconds."""
    response.set_cookie(name, value, max_age=max_age, **_options())


def delete_cookie(response: Response, name: str) -> None:
    """Let the browser remove a cookie."""
    response.delete_cookie(name, **_options())


def _options() -> dict[str, Any]:
    return {
        "path": request.script_root or "/",  # what else is at the proxy's address does not get it
        "secure": request.is_secure,
        "httponly": True,
        "samesite": "Lax",
    }
