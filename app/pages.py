"""The HTML pages."""

import base64
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from PIL import Image

from app import asking
from app.collection_picker import picker_of
from app.narrowing import Narrowing
from app.services import services
from app.uploads import query_image
from image_embeddings import MAX_DEPTH, SORTS, SearchResult, errors

blueprint = Blueprint("pages", __name__)

K_CHOICES = (10, 20, 50, 100)
DEFAULT_K = 20
HOME_COLLECTIONS = 12  # the largest; all of them have a page of their own


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The search box and the collections above the newest photos."""
    k = _query()["k"]
    try:
        result = services().search.browse(k=DEFAULT_K, facets=True)
        common = _common(k=k, total=result.total)
    except errors.IndexMissingError:
        return render_template("home.html", total=0, **_common(k=k, indexed=False))
    query = {"k": k, "sort": SORTS[0]}
    return render_template(
        "home.html",
        result=result,
        query=query,
        narrowing=Narrowing(query, result.facets),
        total=result.total,
        home_collections=HOME_COLLECTIONS,
        **common,
    )


@blueprint.get("/collections")
def collections() -> ResponseReturnValue:
    """All collections, with examples to start from."""
    return render_template("collections.html", **_common(k=_query()["k"]))


@blueprint.get("/image_search")
def image_search() -> ResponseReturnValue:
    """Photos for texts (`q`) and indexed photos (`like`), and by filters."""
    query = _query()
    sorted_only = query["sort"] != SORTS[0]
    if not (any(query.get(name) for name in ("q", "like")) or asking.filters_of(query) or sorted_only):
        return redirect(url_for(".home"))
    return _results(asking.search(query), query)


@blueprint.get("/similar_image")
def similar_image() -> ResponseReturnValue:
    """Photos like the indexed one `id`."""
    image_id = request.args.get("id", "")
    if not image_id:
        return redirect(url_for(".home"))
    query = _query()
    query["like"] = [image_id, *query.get("like", ())]
    return _results(asking.search(query), query)


@blueprint.post("/similar_image")
def similar_upload() -> ResponseReturnValue:
    """Photos like the uploaded one."""
    upload = request.files.get("image")
    image = query_image(upload)
    query = {**_query(), "image": image}
    return _results(asking.search(query), query, query_picture=_data_uri(image))


@blueprint.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """Where browsers look for an icon when no page names one."""
    return redirect(url_for("static", filename="icon.svg"))


def _query() -> dict[str, Any]:
    """What the address or the form asks for."""
    asked = asking.from_page(request.values, k=DEFAULT_K)
    facets = request.method == "GET" and not asked["offset"]
    return {**asked, "verdict": True, "fold": True, "facets": facets}


def _results(result: SearchResult, query: dict[str, Any], *, query_picture: str | None = None) -> ResponseReturnValue:
    k, offset = query["k"], query["offset"]
    shown_to = offset + sum(1 + len(hit.folded) for hit in result.hits)
    documents = [services().search.get(image_id) for image_id in query.get("like", ()) if "#" not in image_id]
    others = result.matching - len(documents)
    common = _common(k=k, total=result.total, query=query)
    return render_template(
        "results.html",
        title=_title(query) or common["picker"].collection or _("Photos"),
        text=" ".join(query.get("q", ())),
        query=query,
        narrowing=Narrowing(query, result.facets),
        result=result,
        query_document=documents[0] if documents else None,
        query_picture=query_picture,
        next_page=_page(offset + k) if shown_to < others and offset + 2 * k <= MAX_DEPTH and result.hits else None,
        previous_page=_page(max(0, offset - k)) if offset else None,
        first=offset + 1,
        last=shown_to,
        others=others,
        **common,
    )


def _title(query: dict[str, Any]) -> str | None:
    """What was asked for; None where photos were only filtered."""
    if query.get("q"):
        return " + ".join(query["q"])
    if query.get("like"):
        return str(_("Photos like %(photo)s", photo=query["like"][0]))
    return str(_("Photos like yours")) if "image" in query else None


def _page(offset: int) -> str | None:
    """The address of the same search from that hit on; None for an upload, which no address can name."""
    if request.method == "POST":
        return None
    values = {**request.args.to_dict(flat=False), "offset": [str(offset)]}
    # Not by url_for: an address may bring parameters that mean something to it, such as `endpoint`.
    return f"{url_for(str(request.endpoint))}?{urlencode(values, doseq=True)}"


def _common(
    *, k: int, indexed: bool = True, total: int | None = None, query: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What every page with the search box needs."""
    return {
        "k": k,
        "k_choices": sorted({*K_CHOICES, k}),
        "indexing": services().indexing() if indexed else None,
        "indexed": indexed,
        "picker": picker_of(services().collections(total=total), query or {}) if indexed else None,
    }


def _data_uri(image: Image.Image) -> str:
    """The query photo in small, inside the page itself: uploads are not kept anywhere."""
    small = image.copy()
    small.thumbnail((240, 240))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=75)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
