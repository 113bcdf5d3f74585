"""The HTML pages."""

import base64
from collections.abc import Callable
from io import BytesIO

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from PIL import Image

from app.metrics import observe
from app.request_record import record
from app.services import services
from app.uploads import query_image
from image_embeddings import MAX_DEPTH, MAX_K, ImageDocument, SearchResult, errors

blueprint = Blueprint("pages", __name__)

K_CHOICES = (10, 20, 50, 100)
DEFAULT_K = 20


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The search box above the newest photos."""
    try:
        common = _common()
        search = services().search
        newest: tuple[ImageDocument, ...] = search.index.newest(k=DEFAULT_K)
        return render_template("home.html", newest=newest, total=search.index.count(), **common)
    except errors.IndexMissingError:
        return render_template("home.html", newest=(), total=0, **_common(indexed=False))


@blueprint.get("/image_search")
def image_search() -> ResponseReturnValue:
    """Photos for the text `q`."""
    text = request.args.get("q", "")
    if not text.strip():
        return redirect(url_for(".home"))
    k, offset = _k(), _number("offset", 0)
    record().search_kind = "text"
    result = observe(services().search.by_text(text, k=k, offset=offset))
    return _results(
        result,
        title=text,
        text=text,
        offset=offset,
        page=lambda to: url_for(".image_search", q=text, k=k, offset=to),
    )


@blueprint.get("/similar_image")
def similar_image() -> ResponseReturnValue:
    """Photos like the indexed one `id`."""
    image_id = request.args.get("id", "")
    if not image_id:
        return redirect(url_for(".home"))
    k, offset = _k(), _number("offset", 0)
    record().search_kind = "like"
    search = services().search
    result = observe(search.like(image_id, k=k, offset=offset))
    return _results(
        result,
        title=f"Photos like {image_id}",
        query_document=search.get(image_id),
        offset=offset,
        page=lambda to: url_for(".similar_image", id=image_id, k=k, offset=to),
    )


@blueprint.post("/similar_image")
def similar_upload() -> ResponseReturnValue:
    """Photos like the uploaded one."""
    record().search_kind = "upload"
    image = query_image(request.files.get("image"))
    result = observe(services().search.by_image(image, k=_k()))
    return _results(result, title="Photos like yours", query_picture=_data_uri(image))


@blueprint.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """Where browsers look for an icon when no page names one."""
    return redirect(url_for("static", filename="icon.svg"))


def _results(
    result: SearchResult,
    *,
    title: str,
    offset: int = 0,
    page: Callable[[int], str] | None = None,
    text: str = "",
    query_document: ImageDocument | None = None,
    query_picture: str | None = None,
) -> ResponseReturnValue:
    k = _k()
    shown_to = offset + len(result.hits)
    others = result.total - (1 if query_document else 0)
    return render_template(
        "results.html",
        title=title,
        text=text,
        result=result,
        query_document=query_document,
        query_picture=query_picture,
        next_page=page(offset + k) if page and shown_to < others and offset + 2 * k <= MAX_DEPTH else None,
        previous_page=page(max(0, offset - k)) if page and offset else None,
        first=offset + 1,
        last=shown_to,
        others=others,
        **_common(),
    )


def _common(*, indexed: bool = True) -> dict[str, object]:
    """What every page with the search box needs."""
    indexing = services().indexing() if indexed else None
    return {"k": _k(), "k_choices": sorted({*K_CHOICES, _k()}), "indexing": indexing, "indexed": indexed}


def _k() -> int:
    k = _number("k", DEFAULT_K)
    if not 1 <= k <= MAX_K:
        raise errors.QueryError(f"k is {k}. It is the number of photos wanted, from 1 to {MAX_K}.")
    return k


def _number(name: str, default: int) -> int:
    value = request.values.get(name, "")
    if not value:
        return default
    try:
        return int(value)
    except ValueError:
        raise errors.QueryError(f"{name} is '{value}'. It must be a whole number.") from None


def _data_uri(image: Image.Image) -> str:
    """The query photo in small, inside the page itself: uploads are not kept anywhere."""
    small = image.copy()
    small.thumbnail((240, 240))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=75)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
