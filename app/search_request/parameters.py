"""What a request asks for, by the same parameters for the API and the pages, and the search that answers it."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from apiflask import Schema
from apiflask.fields import Boolean, File, Float, Integer, List, String
from apiflask.validators import Length, OneOf, Range
from marshmallow import EXCLUDE, ValidationError, validates_schema
from werkzeug.datastructures import MultiDict

from app.search_request.parts import QueryPart, as_searched, parts_of
from app.services import services
from app.web.errors import problems_of
from app.web.metrics import observe
from app.web.request_record import record
from image_embeddings import MAX_K, ORIENTATIONS, SORTS, Filters, SearchResult, errors

MAX_OFFSET = 10_000
MAX_PIXELS = 2**31 - 1
MAX_UPLOADS = 20  # that are each searched by


def _several(description: str, **validation: Any) -> "List[str]":
    return List(String(**validation), metadata={"description": f"{description} May be given several times."})


def _number(description: str, *, least: int, most: int, **options: Any) -> Integer:
    return Integer(
        validate=Range(least, most, error="{input} is not from {min} to {max}."),
        metadata={"description": description},
        error_messages={"invalid": "'{input}' is no whole number."},
        **options,
    )


class FilterSchema(Schema):
    """What the hits are limited to, and which of them are wanted."""

    k = _number("Hits wanted.", least=1, most=MAX_K, load_default=10)
    offset = _number("Hits to pass over.", least=0, most=MAX_OFFSET, load_default=0)
    folder = _several("Only photos of this folder and those below it; of any of them, where there are several.")
    label = _several("Only photos of this label.")
    camera = _several("Only photos by this camera model.")
    orientation = _several("Only photos of this shape.", validate=OneOf(ORIENTATIONS))
    column = _several("Only photos of which the metadata file says so: name=value.")
    taken_from = String(
        data_key="from", metadata={"description": "Only photos taken then or later: 2024, 2024-05 or 2024-05-31."}
    )
    taken_to = String(
        data_key="to", metadata={"description": "Only photos taken then or before; the whole year, month or day."}
    )
    place = String(
        metadata={
            "description": "Only photos taken in this box: south,west,north,east in degrees. Over the date line, west "
            "is larger than east."
        }
    )
    min_width = _number("Only photos of at least so many pixels.", least=0, most=MAX_PIXELS)
    min_height = _number("Only photos of at least so many pixels.", least=0, most=MAX_PIXELS)
    sort = String(
        load_default=SORTS[0],
        validate=OneOf(SORTS),
        metadata={"description": "By relevance, or the nearest photos that match by the date they were taken."},
    )
    words = Boolean(
        load_default=True,
        metadata={"description": "Whether words of the text are looked for in names, captions and labels too."},
    )
    facets = Boolean(load_default=False, metadata={"description": "Whether photos are counted by kind."})
    verdict = Boolean(
        load_default=False, metadata={"description": "Whether to say which hits really match, as far as can be told."}
    )
    fold = Boolean(
        load_default=False, metadata={"description": "Whether near-duplicates are folded under the first of them."}
    )


class QuerySchema(FilterSchema):
    """A search by texts, by indexed photos, or by several of them together."""

    q = _several("What the photo shows, in any language the model knows.")
    like = _several(
        "image_id of a photo to find others like; with #xywh=percent:x,y,width,height, only a part of it.",
        validate=Length(1),
    )
    without = _several("What the photo should not show.")
    unlike = _several("image_id of a photo that hits should not be like.", validate=Length(1))
    weight = List(
        Float(validate=Range(0, 10, min_inclusive=False)),
        metadata={
            "description": "How much each part counts: a number for each q, like, image, without and unlike, in this "
            "order. Without them, 1 for what is wanted and 0.5 for what is not."
        },
    )

    wanted: ClassVar[tuple[str, ...]] = ("q", "like")

    @validates_schema
    def something(self, data: dict[str, Any], **_: Any) -> None:
        """Raises where nothing is asked for: neither a query nor a filter."""
        if not any(data.get(name) for name in self.wanted) and not filters_of(data):
            raise ValidationError(f"Give a query: {' or '.join(self.wanted)}.", self.wanted[0])


class UploadSchema(QuerySchema):
    """A search by an uploaded photo, too."""

    image = List(
        File(),  # type: ignore[no-untyped-call]
        metadata={
            "description": "A JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF or camera RAW file. Several are searched for "
            "together."
        },
    )

    wanted: ClassVar[tuple[str, ...]] = ("image", "q", "like")


class UploadsSchema(UploadSchema):
    """A search for each of several uploaded photos."""

    image = List(
        File(),  # type: ignore[no-untyped-call]
        required=True,
        validate=Length(1, MAX_UPLOADS),
        metadata={"description": "One photo for each search; kinds as in a single search."},
    )


class FilterOrQuerySchema(QuerySchema):
    """As the API takes it; but a page may ask for nothing in particular, too."""

    def something(self, data: dict[str, Any], **_: Any) -> None:
        """Raises never."""


PAGE = FilterOrQuerySchema(unknown=EXCLUDE)  # made once: it takes longer than to load a query


def from_page(values: MultiDict[str, str], *, k: int) -> dict[str, Any]:
    """What a page's address or form asks for; what is left empty in a form counts as not given.

    Raises:
        QueryError: a value cannot be used; says which.
    """
    fields = {str(field.data_key or field.name): field for field in PAGE.load_fields.values()}
    given = {name: [value for value in values.getlist(name) if value.strip()] for name in fields}
    asked = {name: found if isinstance(fields[name], List) else found[-1] for name, found in given.items() if found}
    try:
        loaded: dict[str, Any] = PAGE.load({"k": k, **asked})
    except ValidationError as error:
        raise errors.QueryError("; ".join(problems_of(error.messages))) from None
    return loaded


def search(query: Mapping[str, Any]) -> SearchResult:
    """The answer to a query as the schemas above load it; counted."""
    limits: dict[str, Any] = {
        "filters": filters_of(query),
        **{name: query[name] for name in ("sort", "words", "facets", "verdict", "fold")},
    }
    asked = parts_of(query)
    record().search_kind = _kind(asked)
    parts = [as_searched(part) for part in asked]
    page = {"k": query["k"], "offset": query["offset"]}
    engine = services().search
    return observe(engine.by_parts(parts, **page, **limits) if parts else engine.browse(**page, **limits))


def _kind(parts: list[QueryPart]) -> str:
    """What is searched with, for the counters."""
    if len(parts) > 1:
        return "several"
    return {"q": "text", "like": "like", "image": "upload"}.get(parts[0].name, "several") if parts else "browse"


def search_each(query: Mapping[str, Any]) -> Iterator[SearchResult | errors.ImageError]:
    """The answer to each of several uploads with the rest of the query, in their order; or why it cannot be read."""
    for upload in query["image"]:
        try:
            yield search({**query, "image": [upload]})
        except errors.ImageError as error:
            yield error


def filters_of(query: Mapping[str, Any]) -> Filters:
    """The filters among the values of a query.

    Raises:
        QueryError: one cannot be used.
    """
    return Filters(
        folders=tuple(query.get("folder", ())),
        labels=tuple(query.get("label", ())),
        cameras=tuple(query.get("camera", ())),
        orientations=tuple(query.get("orientation", ())),
        columns=tuple(_column(given) for given in query.get("column", ())),
        taken_from=query.get("taken_from"),
        taken_to=query.get("taken_to"),
        place=_place(query["place"]) if query.get("place") else None,
        min_width=query.get("min_width"),
        min_height=query.get("min_height"),
    )


def _column(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals:
        raise errors.QueryError(f"column is '{given}'. It is a column of the metadata file and its value: name=value.")
    return name, value


def _place(given: str) -> tuple[float, float, float, float]:
    try:
        south, west, north, east = (float(number) for number in given.split(","))
    except ValueError:
        raise errors.QueryError(f"place is '{given}'. It is a box: south,west,north,east in degrees.") from None
    return south, west, north, east
