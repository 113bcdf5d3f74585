"""The parameters of a search, with the same names for the API and the pages. Each schema loads a SearchRequest.

The bounds of all values are here. What a request has beyond them is refused before a search is made of it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from apiflask import Schema
from apiflask.fields import Boolean, File, String
from apiflask.validators import OneOf, Range
from marshmallow import ValidationError, missing, post_load, pre_load, validates_schema
from marshmallow.fields import Field

from app.search_request.fields import (
    BoxOfDegrees,
    BriefText,
    ColumnValue,
    Day,
    FacetValue,
    Number,
    PhotoName,
    Several,
    WholeNumber,
)
from app.search_request.request import PART_NAMES, SearchRequest, check_parts, make_part, weigh_parts
from image_embeddings import (
    KEYWORD_FACETS,
    MAX_K,
    MAX_PARTS,
    MAX_TEXT,
    MAX_VALUE_BYTES,
    MAX_VALUES,
    MAX_WEIGHT,
    MIN_WEIGHT,
    SORTS,
    Filters,
)

MAX_OFFSET = 10_000
MAX_PIXELS = 2**31 - 1
MAX_UPLOADS = 20  # photos in one request, each with a search of its own
MAX_FILTER_TEXT = 10_000  # characters of all values of filters together


def several(inner: "Field[Any]", description: str, *, most: int, **options: Any) -> Several:
    """Return the field of a parameter that may be given several times."""
    metadata = {"description": f"{description} May be given several times."}
    return Several(inner, most=most, metadata=metadata, **options)


def query_text() -> BriefText:
    """Return the field of a text that is searched for."""
    return BriefText(
        most=MAX_TEXT, error="The search text has {length} characters; {max} at most. A sentence is enough."
    )


def part_weight() -> Number:
    """Return the field of a weight."""
    return Number(validate=Range(MIN_WEIGHT, MAX_WEIGHT, error="{input} is not from {min} to {max}."))


def whole_number(description: str, *, least: int, most: int, **options: Any) -> WholeNumber:
    """Return a field of a whole number from `least` to `most`."""
    return WholeNumber(
        validate=Range(least, most, error="{input} is not from {min} to {max}."),
        metadata={"description": description},
        **options,
    )


def _facet_fields() -> "dict[str, Field[Any]]":
    return {
        facet.name: several(
            String(validate=OneOf(facet.choices)) if facet.choices else FacetValue(max_bytes=facet.max_bytes),
            facet.help,
            most=MAX_VALUES,
        )
        for facet in KEYWORD_FACETS.values()
    }


class FilterSchema(Schema.from_dict(_facet_fields(), name="FacetSchema")):  # type: ignore[misc]
    """The filters of a search, the order of its hits, and which of them are wanted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Parameters that may be absent, and then have no value: marshmallow takes long to find that out for each.
        self.partial = frozenset(
            name for name, field in self.load_fields.items() if not field.required and field.load_default is missing
        )

    k = whole_number("Number of hits.", least=1, most=MAX_K, load_default=10)
    offset = whole_number("Number of hits to pass over.", least=0, most=MAX_OFFSET, load_default=0)
    column = several(
        ColumnValue(max_bytes=MAX_VALUE_BYTES),
        "Only photos with this value in a column of the metadata file: name=value.",
        most=MAX_VALUES,
    )
    taken_from = Day("Only photos taken then or later: 2024, 2024-05 or 2024-05-31.", data_key="from")
    taken_to = Day("Only photos taken then or earlier. The whole year, month or day is included.", data_key="to")
    place = BoxOfDegrees(
        "Only photos taken in this box: south,west,north,east in degrees. Over the date line, west is larger than east."
    )
    min_width = whole_number("Only photos at least this wide, in pixels.", least=0, most=MAX_PIXELS)
    min_height = whole_number("Only photos at least this high, in pixels.", least=0, most=MAX_PIXELS)
    sort = String(
        load_default=SORTS[0],
        validate=OneOf(SORTS),
        metadata={"description": "By relevance, or by the date the photos were taken: the nearest that match."},
    )
    words = Boolean(
        load_default=True,
        metadata={"description": "Whether words of the text are also looked for in names, captions and labels."},
    )
    facets = Boolean(load_default=False, metadata={"description": "Whether photos are counted by facet."})
    verdict = Boolean(
        load_default=False, metadata={"description": "Whether to say which hits really match, as far as that is known."}
    )
    fold = Boolean(
        load_default=False, metadata={"description": "Whether near-duplicates are folded under the first of them."}
    )


class QuerySchema(FilterSchema):
    """A search by texts and indexed photos, one or several together."""

    q = several(query_text(), "What the photo shows, in any language the model knows.", most=MAX_PARTS)
    like = several(
        PhotoName(),
        "image_id of a photo to find others like; with #xywh=percent:x,y,width,height, only a part of it.",
        most=MAX_PARTS,
    )
    without = several(query_text(), "What the photo should not show.", most=MAX_PARTS)
    unlike = several(PhotoName(), "image_id of a photo that hits should not be like.", most=MAX_PARTS)
    weight = Several(
        part_weight(),
        most=MAX_PARTS,
        metadata={
            "description": "The weight of each part: a number for each q, like, image, without and unlike, in this "
            "order. By default 1 for what is wanted and 0.5 for what is not."
        },
    )

    wanted: ClassVar[tuple[str, ...]] = ("q", "like")

    @pre_load
    def take_given(self, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Return the given values as a dict. To look up each absent one in what webargs gives would take long."""
        return dict(data)

    @validates_schema(skip_on_field_errors=False)
    def check_filters(self, data: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError if the values of all filters together are too long."""
        values = [value for name in KEYWORD_FACETS for value in data.get(name, ())]
        values += [part for column in data.get("column", ()) for part in column]
        if (length := sum(map(len, values))) > MAX_FILTER_TEXT:
            raise ValidationError(f"They have {length} characters; {MAX_FILTER_TEXT} at most.", "filters")

    @validates_schema
    def check_something_is_asked_for(self, data: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError if there is neither a query nor a filter."""
        if not any(data.get(name) for name in self.wanted) and not filters_of(data):
            raise ValidationError(f"Give a query: {' or '.join(self.wanted)}.", self.wanted[0])

    @post_load
    def make_request(self, data: dict[str, Any], **_: Any) -> Any:
        """Return the SearchRequest.

        Raises:
            QueryError: if there are too many parts, or another number of weights.
        """
        return _checked(request_of(data))


class UploadSchema(QuerySchema):
    """A search by uploaded photos, and by texts and indexed photos."""

    image = Several(
        File(),  # type: ignore[no-untyped-call]
        most=MAX_PARTS,
        metadata={
            "description": "A JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF or camera RAW file. Several are searched for "
            "together."
        },
    )

    wanted: ClassVar[tuple[str, ...]] = ("image", "q", "like")


class UploadsSchema(UploadSchema):
    """A search for each of several uploaded photos."""

    image = Several(
        File(),  # type: ignore[no-untyped-call]
        required=True,
        least=1,
        most=MAX_UPLOADS,
        metadata={"description": "One photo for each search, of the same kinds as in a single search."},
    )

    @post_load
    def make_request(self, data: dict[str, Any], **_: Any) -> list[SearchRequest]:
        """Return a SearchRequest for each upload, with the rest of the query."""
        return [_checked(request_of({**data, "image": [upload]})) for upload in data["image"]]


def request_of(data: dict[str, Any]) -> SearchRequest:
    """Return the request of the loaded values of a query. It may have too many parts.

    Raises:
        QueryError: if there is another number of weights than of parts.
    """
    parts = [make_part(name, value) for name in PART_NAMES for value in data.get(name, ())]
    rest = {name: data[name] for name in ("k", "offset", "sort", "words", "facets", "verdict", "fold")}
    return SearchRequest(parts=weigh_parts(parts, data.get("weight")), filters=filters_of(data), **rest)


def _checked(request: SearchRequest) -> SearchRequest:
    check_parts(request.parts)
    return request


def filters_of(data: dict[str, Any]) -> Filters:
    """Return the filters among the loaded values of a query."""
    return Filters(
        values={name: tuple(dict.fromkeys(data[name])) for name in KEYWORD_FACETS if name in data},
        columns=tuple(dict.fromkeys(data.get("column", ()))),
        taken_from=data.get("taken_from"),
        taken_to=data.get("taken_to"),
        place=data.get("place"),
        min_width=data.get("min_width"),
        min_height=data.get("min_height"),
    )
