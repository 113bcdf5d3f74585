"""The HTML pages."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage, MultiDict

from app import asking, bar, pictures
from app.parts import NAMES, QueryPart, in_order, parameters, part, parts_of
from app.pictures import Picture
from app.services import services
from image_embeddings import MAX_DEPTH, MAX_PARTS, SORTS, ImageDocument, SearchResult, errors

blueprint = Blueprint("pages", __name__)

K_CHOICES = (10, 20, 50, 100)
DEFAULT_K = 20
ROW_K = 12  # hits in the row of one of several photos
# What the filters of a page set, beside the order.
NARROWING = ("folder", "label", "camera", "orientation", "column", "taken_from", "taken_to", "place")
KEPT = (
    "folder",
    "label",
    "camera",
    "orientation",
    "column",
    "from",
    "to",
    "place",
    "min_width",
    "min_height",
    "sort",
    "words",
)


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The search box above the newest photos."""
    k = asking.from_page(request.args, k=DEFAULT_K)["k"]
    try:
        common = _common(k=k)
        search = services().search
        newest: tuple[ImageDocument, ...] = search.index.newest(k=DEFAULT_K)
        return render_template("home.html", newest=newest, total=search.index.count(), **common)
    except errors.IndexMissingError:
        return render_template("home.html", newest=(), total=0, **_common(k=k, indexed=False))


class Row(NamedTuple):
    """One of several uploaded photos, and what it found; or why it could not be read."""

    name: str
    picture: Picture | None = None
    result: SearchResult | None = None
    problem: str = ""


@blueprint.get("/image_search")
def image_search() -> ResponseReturnValue:
    """Photos for texts (`q`) and indexed photos (`like`), and by filters; what the bar's form sends leads here."""
    query = _query()
    parts: list[QueryPart] = query["parts"]
    if not parts and not asking.filters_of(query):
        return redirect(url_for(".home"))
    if query["by_form"]:
        return redirect(query["address"])
    return _results(asking.search(query), query)


@blueprint.get("/similar_image")
def similar_image() -> ResponseReturnValue:
    """Photos like the indexed one `id`."""
    image_id = request.args.get("id", "")
    if not image_id:
        return redirect(url_for(".home"))
    query = _query(part("like", image_id))
    return _results(asking.search(query), query)


@blueprint.post("/similar_image")
def similar_upload() -> ResponseReturnValue:
    """Photos like the uploaded one, or those that the page carried along; a row for each of several."""
    uploads = [upload for upload in request.files.getlist("image") if upload.filename]
    carried = request.form.getlist("picture")
    if len(uploads) > 1:
        return _rows(uploads, _query())
    chosen = [part("image", pictures.of_upload(upload)) for upload in uploads or [None][: not carried]]
    query = _query(*chosen)
    if "image" not in query:
        return redirect(query["address"], 303)
    return _results(asking.search(query), query)


@blueprint.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """Where browsers look for an icon when no page names one."""
    return redirect(url_for("static", filename="icon.svg"))


def _query(*added: QueryPart) -> dict[str, Any]:
    """What the address or the form asks for, with these parts, too."""
    values: MultiDict[str, str] = MultiDict(request.values)
    if values.get("edit") == bar.UNFILTER:
        for name in KEPT:
            values.poplist(name)
    asked = asking.from_page(values, k=DEFAULT_K)
    if request.method == "POST":
        asked["image"] = [pictures.of_copy(copy) for copy in request.form.getlist("picture")]
    before = parts_of(asked)
    parts = in_order([*bar.changed(before, values), *added])
    kept = {name: given for name in KEPT if (given := [value for value in values.getlist(name) if value.strip()])}
    return {
        **{name: value for name, value in asked.items() if name not in (*NAMES, "weight")},
        **parameters(parts),
        "parts": parts,
        "fields": bar.fields_of(parts),
        "sent": any(each.name == "image" for each in parts),
        "by_form": parts != before or not set(bar.FORM_FIELDS).isdisjoint(request.args),
        "verdict": True,
        "fold": True,
        "facets": not asked["offset"],
        "filtered": any(asked.get(name) for name in NARROWING) or asked["sort"] != SORTS[0],
        "unfiltered": _address(parts, k=asked["k"]),
        "address": _address(parts, k=asked["k"], **kept),
        "kept": [(name, value) for name, values in kept.items() for value in values],
    }


def _address(parts: Sequence[QueryPart], **others: Any) -> str:
    """The address of a search by these parts; uploads are not in it."""
    named: dict[str, Any] = parameters(each for each in parts if each.name != "image")
    return url_for(".image_search" if named or len(others) > 1 else ".home", **named, **others)


def _rows(uploads: Sequence[FileStorage], query: dict[str, Any]) -> ResponseReturnValue:
    """A page with what each of several uploads finds, all with the rest of the query."""
    if len(uploads) > asking.MAX_UPLOADS:
        raise errors.QueryError(f"These are {len(uploads)} photos; {asking.MAX_UPLOADS} at most can be searched by.")
    rows = list(_searched(uploads, {**query, "k": ROW_K, "facets": False}))
    found = [part("image", row.picture) for row in rows if row.picture]
    together = in_order([*query["parts"], *found])
    return render_template(
        "rows.html",
        query=query,
        rows=rows,
        fields=bar.fields_of(together),
        before=[each.name for each in together].index("image") if found else 0,
        can_join=len(found) > 1 and len(together) <= MAX_PARTS,
        **_common(k=query["k"], query=query),
    )


def _searched(uploads: Sequence[FileStorage], query: dict[str, Any]) -> Iterator[Row]:
    for upload in uploads:
        name = upload.filename or ""
        try:
            picture = pictures.of_upload(upload)
        except errors.ImageError as error:
            yield Row(name, problem=str(error))
        else:
            parts = in_order([*query["parts"], part("image", picture)])
            yield Row(name, picture, asking.search({**query, "weight": None, **parameters(parts)}))


def _results(result: SearchResult, query: dict[str, Any]) -> ResponseReturnValue:
    k, offset = query["k"], query["offset"]
    shown_to = offset + sum(1 + len(hit.folded) for hit in result.hits)
    common = _common(k=k, query=query)
    whole = [chip for chip in common["bar"].chips if chip.document and chip.part.wanted and not chip.box]
    others = result.matching - len(whole)
    return render_template(
        "results.html",
        query=query,
        result=result,
        next_page=_page(offset + k) if shown_to < others and offset + 2 * k <= MAX_DEPTH and result.hits else None,
        previous_page=_page(max(0, offset - k)) if offset else None,
        first=offset + 1,
        last=shown_to,
        others=others,
        **common,
    )


def _page(offset: int) -> str | None:
    """The address of the same search from that hit on; None for an upload, which no address can name."""
    if request.method == "POST":
        return None
    values = {**request.args.to_dict(flat=False), "offset": [str(offset)]}
    # Not by url_for: an address may bring parameters that mean something to it, such as `endpoint`.
    return f"{url_for(str(request.endpoint))}?{urlencode(values, doseq=True)}"


def _common(*, k: int, query: dict[str, Any] | None = None, indexed: bool = True) -> dict[str, Any]:
    """What every page with the search bar needs."""
    indexing = services().indexing() if indexed else None
    return {
        "k": k,
        "k_choices": sorted({*K_CHOICES, k}),
        "indexing": indexing,
        "indexed": indexed,
        "bar": bar.bar_of(query["parts"] if query else ()),
        "kept": query["kept"] if query else (),
    }
