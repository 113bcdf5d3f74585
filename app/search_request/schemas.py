"""The parameters of a search, with the same names for the API and the pages. Each schema loads a SearchRequest."""

from typing import Any, ClassVar

from apiflask import Schema
from apiflask.fields import Boolean, File, Float, Integer, List, String
from apiflask.validators import Length, OneOf, Range
from marshmallow import ValidationError, post_load, validates_schema
from marshmallow.fields import Field

from app.search_request.request import PART_NAMES, SearchRequest, make_part, weigh_parts
from image_embeddings import KEYWORD_FACETS, MAX_K, SORTS, Filters, Place, errors

MAX_OFFSET = 10_000
MAX_PIXELS = 2**31 - 1
MAX_UPLOADS = 20  # photos in one request, each with a search of its own


def _strings(description: str, **validation: Any) -> "List[str]":
    return List(String(**validation), metadata={"description": f"{description} May be given several times."})


def _number(description: str, *, least: int, most: int, **options: Any) -> Integer:
    return Integer(
        validate=Range(least, most, error="{input} is not from {min} to {max}."),
        metadata={"description": description},
        error_messages={"invalid": "'{input}' is no whole number."},
        **options,
    )


def _facet_fields() -> "dict[str, Field[Any]]":
    return {
        facet.name: _strings(facet.help, **({"validate": OneOf(facet.choices)} if facet.choices else {}))
        for facet in KEYWORD_FACETS.values()
    }


class FilterSchema(Schema.from_dict(_facet_fields(), name="FacetSchema")):  # type: ignore[misc]
    """The filters of a search, the order of its hits, and which of them are wanted."""

    k = _number("Number of hits.", least=1, most=MAX_K, load_default=10)
    offset = _number("Number of hits to pass over.", least=0, most=MAX_OFFSET, load_default=0)
    column = _strings("Only photos with this value in a column of the metadata file: name=value.")
    taken_from = String(
        data_key="from", metadata={"description": "Only photos taken then or later: 2024, 2024-05 or 2024-05-31."}
    )
    taken_to = String(
        data_key="to",
        metadata={"description": "Only photos taken then or earlier. The whole year, month or day is included."},
    )
    place = String(
        metadata={
            "description": "Only photos taken in this box: south,west,north,east in degrees. Over the date line, west "
            "is larger than east."
        }
    )
    min_width = _number("Only photos at least this wide, in pixels.", least=0, most=MAX_PIXELS)
    min_height = _number("Only photos at least this high, in pixels.", least=0, most=MAX_PIXELS)
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

    q = _strings("What the photo shows, in any language the model knows.")
    like = _strings(
        "image_id of a photo to find others like; with #xywh=percent:x,y,width,height, only a part of it.",
        validate=Length(1),
    )
    without = _strings("What the photo should not show.")
    unlike = _strings("image_id of a photo that hits should not be like.", validate=Length(1))
    weight = List(
        Float(validate=Range(0, 10, min_inclusive=False)),
        metadata={
            "description": "The weight of each part: a number for each q, like, image, without and unlike, in this "
            "order. By default 1 for what is wanted and 0.5 for what is not."
        },
    )

    wanted: ClassVar[tuple[str, ...]] = ("q", "like")

    @validates_schema
    def check_something_is_asked_for(self, data: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError if there is neither a query nor a filter."""
        if not any(data.get(name) for name in self.wanted) and not _filters(data):
            raise ValidationError(f"Give a query: {' or '.join(self.wanted)}.", self.wanted[0])

    @post_load
    def make_request(self, data: dict[str, Any], **_: Any) -> Any:
        """Return the SearchRequest."""
        return _request(data)


class UploadSchema(QuerySchema):
    """A search by uploaded photos, and by texts and indexed photos."""

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
        metadata={"description": "One photo for each search, of the same kinds as in a single search."},
    )

    @post_load
    def make_request(self, data: dict[str, Any], **_: Any) -> list[SearchRequest]:
        """Return a SearchRequest for each upload, with the rest of the query."""
        return [_request({**data, "image": [upload]}) for upload in data["image"]]


def _request(data: dict[str, Any]) -> SearchRequest:
    parts = [make_part(name, value) for name in PART_NAMES for value in data.get(name, ())]
    rest = {name: data[name] for name in ("k", "offset", "sort", "words", "facets", "verdict", "fold")}
    return SearchRequest(parts=weigh_parts(parts, data.get("weight")), filters=_filters(data), **rest)


def _filters(data: dict[str, Any]) -> Filters:
    """Return the filters among the values of a query.

    Raises:
        QueryError: if one of them cannot be used.
    """
    return Filters(
        values={name: tuple(data[name]) for name in KEYWORD_FACETS if name in data},
        columns=tuple(_column(given) for given in data.get("column", ())),
        taken_from=data.get("taken_from"),
        taken_to=data.get("taken_to"),
        place=_place(data["place"]) if data.get("place") else None,
        min_width=data.get("min_width"),
        min_height=data.get("min_height"),
    )


def _column(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals:
        raise errors.QueryError(f"column is '{given}'. It is a column of the metadata file and its value: name=value.")
    return name, value


def _place(given: str) -> Place:
    try:
        south, west, north, east = (float(number) for number in given.split(","))
    except ValueError:
        raise errors.QueryError(f"place is '{given}'. It is a box: south,west,north,east in degrees.") from None
    return south, west, north, east
