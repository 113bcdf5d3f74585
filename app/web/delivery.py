"""How pages and their files reach the browser: compressed, with security headers, and the files only once."""

import hashlib
from pathlib import Path

from flask import Flask, Response, request
from flask_compress import Compress

APP_FOLDER = Path(__file__).parent.parent
STATIC_FOLDER = "static/ui"
MAIN_SCRIPT = "main.js"
# Photos are not among them, because they are compressed already.
COMPRESSED = ("text/html", "text/css", "text/javascript", "image/svg+xml", "application/json")
A_YEAR = 365 * 24 * 3600  # seconds

# The page runs its own script, uses its own style and shows its own pictures. It loads nothing else.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def static_url_path() -> str:
    """Return the path of the static files.

    It depends on their content, because scripts import one another without a version in the address.
    """
    digest = hashlib.sha256()
    for path in sorted((APP_FOLDER / STATIC_FOLDER).iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"/static/{digest.hexdigest()[:12]}"


def script_modules() -> list[str]:
    """Return the names of the scripts that the page's main one imports, so that browsers load them together."""
    return sorted(path.name for path in (APP_FOLDER / STATIC_FOLDER).glob("*.js") if path.name != MAIN_SCRIPT)


def init_app(app: Flask) -> None:
    """Compress text, let browsers keep the static files, and set the security headers."""
    app.config.from_mapping(
        COMPRESS_MIMETYPES=list(COMPRESSED),
        COMPRESS_ALGORITHM=["br", "gzip"],
        COMPRESS_ALGORITHM_STREAMING=["br", "gzip"],  # for files
        SEND_FILE_MAX_AGE_DEFAULT=A_YEAR,
    )
    app.jinja_env.globals["script_modules"] = script_modules()
    Compress(app)
    app.after_request(_set_headers)


def _set_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint == "static" and response.status_code == 200:
        response.cache_control.immutable = True
        response.call_on_close(response.response.close)  # type: ignore[union-attr]  # flask-compress does not close the file
    return response
