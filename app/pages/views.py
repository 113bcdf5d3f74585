"""The HTML pages."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from apiflask import APIBlueprint
from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from app.pages.bar import fields_of, image_ids_of, make_bar, make_picker
from app.pages.filters import FilterForm
from app.pages.links import address_to_follow
from app.search_request.page_form import DEFAULT_K, MOST_K, parse_k, parse_page, parse_valid
from app.search_request.request import SearchRequest, make_part, search
from app.search_request.schemas import MAX_UPLOADS
from app.search_request.uploads import CarriedPhoto, carry_upload
from app.services import services
from app.web.addresses import address_with
from app.web.errors import error_page
from app.web.languages import choose, declare
from app.web.templates import render_template
from app.web.visitors import choose_text, message_of
from image_embeddings import BY_DATE_DEPTH, MAX_DEPTH, MAX_PARTS, SearchResult, errors

blueprint = APIBlueprint("pages", __name__, enable_openapi=False)
blueprint.before_request(choose)
blueprint.after_request(declare)

K_CHOICES = (10, 20, 50, MOST_K)
ROW_K = 12  # hits in the row of one of several photos
HOME_COLLECTIONS = 12  # the largest ones; another page shows all of them


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Show the search bar and the collections above the newest photos."""
    query = SearchRequest(k=parse_k())
    try:
        result = services().search.browse(k=DEFAULT_K, facets=True, partial=True)
        common = _common(query, result)
    except errors.IndexMissingError:
        return render_template("home.html", total=0, **_common(query, indexed=False))
    return render_template("home.html", total=result.total, home_collections=HOME_COLLECTIONS, **common)


@blueprint.get("/collections")
def collections() -> ResponseReturnValue:
    """Show all collections, with example photos."""
    return render_template("collections.html", **_common(SearchRequest(k=parse_k())))


class Row(NamedTuple):
    """One of several uploaded photos, with the result of its search, or with the reason why it cannot be read."""

    name: str
    picture: CarriedPhoto | None = None
    result: SearchResult | None = None
    problem: str = ""


@blueprint.get("/image_search")
def image_search() -> ResponseReturnValue:
    """Show photos for texts (`q`), indexed photos (`like`) and filters; the form of the search bar leads here."""
    if any(request.args.getlist("image")):  # the name of a file: without a script, this button does not send it
        raise errors.QueryError(
            "The photo was not sent. Choose it again and press “Find similar”; a text goes with it."
        )
    form = parse_page()
    if form.search.is_empty:
        return redirect(url_for(".home", k=request.args.get("k")))
    if form.is_edited:
        return redirect(address_to_follow(form.search))
    return _results(search(form.search), form.search)


@blueprint.get("/similar_image")
def similar_image() -> ResponseReturnValue:
    """Show photos like the indexed photo `id`."""
    if not any(image_id.strip() for image_id in request.args.getlist("id")):
        return redirect(url_for(".home"))
    query = parse_page(by_id=True).search
    return _results(search(query), query)


@blueprint.post("/similar_image")
def similar_upload() -> ResponseReturnValue:
    """Show photos like the uploaded one, or like those that the page carries along.

    If several photos are uploaded, show a row of hits for each.
    """
    uploads = [upload for upload in request.files.getlist("image") if upload.filename]
    carried = request.form.getlist("picture")
    if len(uploads) > 1:
        return _rows(uploads, parse_page().search)
    try:
        chosen = [make_part("image", carry_upload(upload)) for upload in uploads or [None][: not carried]]
    except errors.ImageError as error:  # the page still offers the rest of the search
        return error_page(error, **_common(parse_page().search))
    query = parse_page(*chosen).search
    if not query.has_upload:
        return redirect(address_to_follow(query), 303)
    return _results(search(query), query)


@blueprint.errorhandler(errors.QueryError)
def show_query_error(error: errors.QueryError) -> ResponseReturnValue:
    """Show what is wrong with a query, and what of the query can be used, so that people can correct it."""
    try:
        common = _common(_valid_search())
    except errors.ImageSearchError:
        return error_page(error)
    return error_page(error, **common)


def _valid_search() -> SearchRequest:
    try:
        return parse_page().search
    except errors.QueryError:
        return parse_valid()


@blueprint.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """Lead to the icon; browsers look here if no page names one."""
    return redirect(url_for("static", filename="icon.svg"))


def _rows(uploads: Sequence[FileStorage], query: SearchRequest) -> ResponseReturnValue:
    """Return a page with the hits of each of several uploads, each searched for together with the rest of the query."""
    if len(uploads) > MAX_UPLOADS:
        raise errors.QueryError(f"These are {len(uploads)} photos; {MAX_UPLOADS} at most can be searched by.")
    rows = list(_search_rows(uploads, replace(query, k=ROW_K, facets=False)))
    pictures = [make_part("image", row.picture) for row in rows if row.picture]
    together = query.with_parts([*query.parts, *pictures]).parts
    return render_template(
        "rows.html",
        rows=rows,
        fields=fields_of(together),
        before=[part.name for part in together].index("image") if pictures else 0,
        can_join=len(pictures) > 1 and len(together) <= MAX_PARTS,
        **_common(query, partial=any(row.result and row.result.partial for row in rows)),
    )


def _search_rows(uploads: Sequence[FileStorage], query: SearchRequest) -> Iterator[Row]:
    for upload in uploads:
        name = errors.shorten(upload.filename or "")
        try:
            picture = carry_upload(upload)
        except errors.ImageError as error:
            yield Row(name, problem=message_of(error))
        else:
            yield Row(name, picture, search(query.with_parts([*query.parts, make_part("image", picture)])))


def _results(result: SearchResult, query: SearchRequest) -> ResponseReturnValue:
    k, offset = query.k, query.offset
    shown_to = offset + sum(1 + len(hit.folded) for hit in result.hits)
    common = _common(query, result)
    whole = [chip for chip in common["bar"].chips if chip.document and chip.part.wanted and not chip.box]
    others = result.matching - len(whole) if result.listed is None else result.listed
    goes_on = shown_to + len(result.left_out) < others and bool(result.hits or result.left_out)
    further = goes_on and offset + 2 * k <= MAX_DEPTH
    return render_template(
        "results.html",
        next_page=_page(offset + k) if further else None,
        next_offset=offset + k if further and query.has_upload else None,
        previous_page=_page(max(0, offset - k)) if offset else None,
        first=offset + 1,
        last=shown_to,
        others=others,
        too_deep=goes_on and not further,
        depth=BY_DATE_DEPTH,
        **common,
    )


def _indexing_failure() -> dict[str, str] | None:
    """Return the reason of a failed run, which is empty for visitors; None if the last run did not fail."""
    reason = services().indexing_failure()
    return {"reason": choose_text(reason, "", subject="the last indexing run failed")} if reason else None


def _page(offset: int) -> str | None:
    """Return the address of the same search from that hit on; None for an upload, which has no address."""
    if request.method == "POST":
        return None
    values = {**request.args.to_dict(flat=False), "offset": [str(offset)]}
    # url_for does not get the parameters: one of them may have a meaning of its own there, such as `endpoint`.
    return f"{url_for(str(request.endpoint))}?{urlencode(values, doseq=True)}"


def _common(
    query: SearchRequest, result: SearchResult | None = None, *, indexed: bool = True, partial: bool = False
) -> dict[str, Any]:
    """Return the template variables that every page with the search bar needs.

    `query` is the search that the bar shows. `result` is its result, if the page shows hits. `indexed` is False if
    there is no index yet. `partial` says whether some photos could not be searched, if `result` does not say it.
    """
    partial = partial or bool(result and result.partial)
    k, total = query.k, result.total if result else None
    filter_form = FilterForm(query, result.facets if result else None)
    kept = filter_form.kept_by(len(result.hits) if result else MAX_UPLOADS * ROW_K)
    documents = services().search.get_many(image_ids) if (image_ids := image_ids_of(query.parts)) else {}
    return {
        "query": query,
        "result": result,
        "filter_form": filter_form,
        "part_fields": fields_of(query.parts),
        "similar_to": f"{address_with('pages.similar_image', kept)}&id=",
        "part_of": f"{address_with('pages.image_search', kept)}&like=",
        "k": k,
        "k_choices": sorted({*K_CHOICES, k}),
        "indexing": services().indexing() if indexed else None,
        "indexing_failure": _indexing_failure(),
        "indexed": indexed,
        "bar": make_bar(query.parts, documents),
        "picker": make_picker(services().collections(total=total, needed=not partial), query) if indexed else None,
        "partial": partial,
    }
