"""The HTML pages."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from app.pages import bar
from app.pages.collections import picker_of
from app.pages.filters import Narrowing
from app.pages.page_query import DEFAULT_K, page_query
from app.search_request import parameters, pictures
from app.search_request.parts import QueryPart, in_order, parameters_of, part
from app.search_request.pictures import Picture
from app.services import services
from app.web.errors import error_page
from image_embeddings import BY_DATE_DEPTH, MAX_DEPTH, MAX_PARTS, SORTS, SearchResult, errors

blueprint = Blueprint("pages", __name__)

K_CHOICES = (10, 20, 50, 100)
ROW_K = 12  # hits in the row of one of several photos
HOME_COLLECTIONS = 12  # the largest; all of them have a page of their own


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The search bar and the collections above the newest photos."""
    query = {"k": parameters.from_page(request.args, k=DEFAULT_K)["k"], "sort": SORTS[0]}
    try:
        result = services().search.browse(k=DEFAULT_K, facets=True)
        common = _common(query, result)
    except errors.IndexMissingError:
        return render_template("home.html", total=0, **_common(query, indexed=False))
    return render_template("home.html", total=result.total, home_collections=HOME_COLLECTIONS, **common)


@blueprint.get("/collections")
def collections() -> ResponseReturnValue:
    """All collections, with examples to start from."""
    return render_template("collections.html", **_common({"k": parameters.from_page(request.args, k=DEFAULT_K)["k"]}))


class Row(NamedTuple):
    """One of several uploaded photos, and what it found; or why it could not be read."""

    name: str
    picture: Picture | None = None
    result: SearchResult | None = None
    problem: str = ""


@blueprint.get("/image_search")
def image_search() -> ResponseReturnValue:
    """Photos for texts (`q`) and indexed photos (`like`), and by filters; what the bar's form sends leads here."""
    if any(request.args.getlist("image")):  # the name of a file: without a script, this button does not send it
        raise errors.QueryError(
            "The photo was not sent. Choose it again and press “Find similar”; a text goes with it."
        )
    query = page_query()
    parts: list[QueryPart] = query["parts"]
    if not (parts or parameters.filters_of(query) or query["sort"] != SORTS[0]):
        return redirect(url_for(".home", k=request.args.get("k")))
    if query["by_form"]:
        return redirect(Narrowing(query).address({}))
    return _results(parameters.search(query), query)


@blueprint.get("/similar_image")
def similar_image() -> ResponseReturnValue:
    """Photos like the indexed one `id`."""
    image_id = request.args.get("id", "")
    if not image_id:
        return redirect(url_for(".home"))
    query = page_query(part("like", image_id))
    return _results(parameters.search(query), query)


@blueprint.post("/similar_image")
def similar_upload() -> ResponseReturnValue:
    """Photos like the uploaded one, or those that the page carried along; a row for each of several."""
    uploads = [upload for upload in request.files.getlist("image") if upload.filename]
    carried = request.form.getlist("picture")
    if len(uploads) > 1:
        return _rows(uploads, page_query())
    try:
        chosen = [part("image", pictures.of_upload(upload)) for upload in uploads or [None][: not carried]]
    except errors.ImageError as error:  # the rest of the search is still there to go on with
        return error_page(error, **_common(page_query()))
    query = page_query(*chosen)
    if "image" not in query:
        return redirect(Narrowing(query).address({}), 303)
    return _results(parameters.search(query), query)


@blueprint.errorhandler(errors.QueryError)
def refused(error: errors.QueryError) -> ResponseReturnValue:
    """What is wrong with a query, with the query to be mended, as far as that can be shown."""
    try:
        common = _common(page_query())
    except errors.ImageSearchError:
        return error_page(error)
    return error_page(error, **common)


@blueprint.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """Where browsers look for an icon when no page names one."""
    return redirect(url_for("static", filename="icon.svg"))


def _rows(uploads: Sequence[FileStorage], query: dict[str, Any]) -> ResponseReturnValue:
    """A page with what each of several uploads finds, all with the rest of the query."""
    if len(uploads) > parameters.MAX_UPLOADS:
        raise errors.QueryError(
            f"These are {len(uploads)} photos; {parameters.MAX_UPLOADS} at most can be searched by."
        )
    rows = list(_searched(uploads, {**query, "k": ROW_K, "facets": False}))
    found = [part("image", row.picture) for row in rows if row.picture]
    together = in_order([*query["parts"], *found])
    return render_template(
        "rows.html",
        rows=rows,
        fields=bar.fields_of(together),
        before=[each.name for each in together].index("image") if found else 0,
        can_join=len(found) > 1 and len(together) <= MAX_PARTS,
        **_common(query),
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
            yield Row(name, picture, parameters.search({**query, "weight": None, **parameters_of(parts)}))


def _results(result: SearchResult, query: dict[str, Any]) -> ResponseReturnValue:
    k, offset = query["k"], query["offset"]
    shown_to = offset + sum(1 + len(hit.folded) for hit in result.hits)
    common = _common(query, result)
    whole = [chip for chip in common["bar"].chips if chip.document and chip.part.wanted and not chip.box]
    others = result.matching - len(whole) if result.listed is None else result.listed
    goes_on = shown_to < others and bool(result.hits)
    further = goes_on and offset + 2 * k <= MAX_DEPTH
    return render_template(
        "results.html",
        next_page=_page(offset + k) if further else None,
        next_offset=offset + k if further and query["sent"] else None,
        previous_page=_page(max(0, offset - k)) if offset else None,
        first=offset + 1,
        last=shown_to,
        others=others,
        too_deep=goes_on and not further,
        depth=BY_DATE_DEPTH,
        **common,
    )


def _page(offset: int) -> str | None:
    """The address of the same search from that hit on; None for an upload, which no address can name."""
    if request.method == "POST":
        return None
    values = {**request.args.to_dict(flat=False), "offset": [str(offset)]}
    # Not by url_for: an address may bring parameters that mean something to it, such as `endpoint`.
    return f"{url_for(str(request.endpoint))}?{urlencode(values, doseq=True)}"


def _common(query: dict[str, Any], result: SearchResult | None = None, *, indexed: bool = True) -> dict[str, Any]:
    """What every page with the search bar needs, for what it asks for and, where it shows that, what was found."""
    k, total = query["k"], result.total if result else None
    narrowing = Narrowing(query, result.facets if result else None)
    return {
        "query": query,
        "result": result,
        "narrowing": narrowing,
        "similar_to": f"{url_for('.similar_image', **narrowing.kept)}&id=",
        "part_of": f"{url_for('.image_search', **narrowing.kept)}&like=",
        "k": k,
        "k_choices": sorted({*K_CHOICES, k}),
        "indexing": services().indexing() if indexed else None,
        "indexed": indexed,
        "bar": bar.bar_of(query.get("parts", ())),
        "picker": picker_of(services().collections(total=total), query) if indexed else None,
    }
