"""What other web sites can do with this one: they can link to it, and nothing else.

Browsers tell where a request comes from (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/). Requests of other
sites are refused before anything is looked up, so that neither the answer nor its time tells what is indexed. Browsers
send these headers only over https and to this machine itself. For other addresses, the headers of the answers remain.
"""

from collections.abc import Set
from functools import lru_cache

from flask import Flask, Request, Response, request
from werkzeug.datastructures import ResponseCacheControl
from werkzeug.http import parse_cache_control_header

from app.web.hosts import is_among
from app.web.request_record import record
from image_embeddings import Settings

_REFUSAL = "Another web site sent this request. Open the page by its address or by a link.\n"
_NO_FRAMES = "frame-ancestors 'none'"
SAYINGS_KEPT = 100  # views say the same few things


def init_app(app: Flask, settings: Settings) -> None:
    """Refuse requests that other sites make, and forbid browsers to show answers there or caches to keep them."""
    own_names = frozenset(settings.trusted_hosts)

    @app.before_request
    def refuse_other_sites() -> Response | None:
        if not is_of_another_site(request, own_names=own_names):
            return None
        record().error_code = "forbidden"
        return Response(_REFUSAL, 403, content_type="text/plain; charset=utf-8")

    app.after_request(_build_walls)


def is_of_another_site(request: Request, *, own_names: Set[str] = frozenset()) -> bool:
    """Return whether a page of another origin makes this request, other than by leading a visitor here.

    `own_names` are names of this app beside the name that the request has: a proxy may have replaced it.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        origin = request.headers.get("Origin")
        return origin is not None and not _is_own(origin, request.host, own_names)
    return site not in ("same-origin", "none") and not _is_visit(request)


def _is_own(origin: str, host_here: str, own_names: Set[str]) -> bool:
    _, _, host = origin.rpartition("://")
    return host.lower() == host_here.lower() or is_among(host, own_names)


def _is_visit(request: Request) -> bool:
    """Return whether the answer becomes the page of a window, for example by a link.

    `Sec-Purpose` says that a browser loads it in advance.
    """
    told = [request.headers.get(f"Sec-{name}") for name in ("Fetch-Mode", "Fetch-Dest", "Purpose")]
    return request.method in ("GET", "HEAD") and told == ["navigate", "document", None]


def _build_walls(response: Response) -> Response:
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"  # no other site shows or loads it
    # No other site keeps a handle of a window with it. Together with the sandbox that photos have in their own window,
    # it would be a network error by the HTML standard. What comes in a photo's place must not differ from it in this.
    if request.blueprint != "photos":
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    policy = response.headers.get("Content-Security-Policy", "default-src 'none'")
    if _NO_FRAMES not in policy:
        response.headers["Content-Security-Policy"] = f"{policy}; {_NO_FRAMES}"
    if request.endpoint != "static":  # files of the app itself, the same for everybody
        _keep_private(response)
    return response


def _keep_private(response: Response) -> None:
    """Let only the visitor's own browser keep an answer, and ask again before it uses it.

    It may keep pages: a page that is not stored cannot be restored by the Back button, and for the page of an uploaded
    photo browsers then ask whether to send the photo again. What a view has said of this stays, except `public`.
    """
    said = None if response.status_code == 403 else response.headers.get("Cache-Control", "")
    response.headers["Cache-Control"] = _without_sharing(said, is_page=response.mimetype == "text/html")


@lru_cache(SAYINGS_KEPT)
def _without_sharing(said: str | None, *, is_page: bool) -> str:
    """Return the header Cache-Control in place of what a view has said; None stands for a refusal."""
    kept = parse_cache_control_header(said, cls=ResponseCacheControl)
    if said is None or kept.no_store:
        return "no-store"
    if kept.max_age is None and not kept.no_cache:
        if not is_page:
            return "no-store"
        kept.no_cache = True
    kept.public, kept.s_maxage, kept.private = False, None, True
    return kept.to_header()
