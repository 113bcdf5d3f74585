"""The shapes of the API's answers."""

from typing import Any

from apiflask import Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, String
from marshmallow.fields import Field

from image_embeddings import KEYWORD_FACETS

# Fields of an answer that are there only if the photo's document has them.
OPTIONAL = (
    "taken",
    "camera_make",
    "camera_model",
    "lens",
    "caption",
    "title",
    "headline",
    "keywords",
    "city",
    "country",
    "persons",
    "label",
    "extra",
)


class ImageSchema(Schema):
    """One indexed photo."""

    image_id = String(required=True)
    width = Integer()
    height = Integer()
    bytes = Integer()
    image_url = String()
    thumbnail_url = String()
    taken = String(
        metadata={
            "description": "ISO 8601, local time, with its distance from UTC where known. Like those below, only there "
            "where something is known."
        }
    )
    camera_make = String()
    camera_model = String()
    lens = String()
    caption = String()
    title = String()
    headline = String()
    keywords = List(String())
    city = String()
    country = String()
    persons = List(String(), metadata={"description": "Persons in the photo."})
    label = String()
    extra = Dict(keys=String(), values=String(), metadata={"description": "Further columns of the metadata file."})


class LocationSchema(Schema):
    """A place on earth."""

    lat = Float(required=True, metadata={"description": "Degrees, north positive."})
    lon = Float(required=True, metadata={"description": "Degrees, east positive."})


class PhotoSchema(ImageSchema):
    """One indexed photo, with the place where it was taken."""

    location = Nested(LocationSchema, metadata={"description": "Where it was taken; only there where that is known."})
    altitude = Float(metadata={"description": "Metres, negative below the sea; only there where that is known."})


class HitSchema(ImageSchema):
    """One found photo."""

    rank = Integer(required=True)
    similarity = Float(
        required=True,
        allow_none=True,
        metadata={"description": "Raw cosine, -1 to 1; null where it was only filtered."},
    )
    score = Float(
        required=True, allow_none=True, metadata={"description": "Elasticsearch's _score for it: (1 + cosine) / 2."}
    )
    by_words = Boolean(
        required=True,
        metadata={"description": "Words of the text are in its name, caption or label, and raised its rank."},
    )
    matches = Boolean(metadata={"description": "Whether it really does, where `verdict` asked and it can be told."})


class FoldingHitSchema(HitSchema):
    """One found photo, with its near-duplicates."""

    folded = List(Nested(HitSchema), metadata={"description": "Where they were to be folded, and there are some."})


class BucketSchema(Schema):
    """A value, and how many photos have it."""

    value = String(required=True)
    count = Integer(required=True)


class PlaceSchema(LocationSchema):
    """A place, and how many photos were taken around it."""

    count = Integer(required=True)
    box = List(
        Float(), required=True, metadata={"description": "south, west, north, east in degrees: `place` takes it."}
    )


def _keyword_counts() -> "dict[str, Field[Any]]":
    return {name: List(Nested(BucketSchema)) for name in KEYWORD_FACETS}


class FacetsSchema(Schema.from_dict(_keyword_counts(), name="KeywordCountsSchema")):  # type: ignore[misc]
    """How many photos there are of each value of each facet.

    The counts of a facet are of the photos that pass the filters of all other facets.
    """

    taken = List(Nested(BucketSchema), metadata={"description": "By the day on which each step of time begins."})
    taken_step = String(metadata={"description": "How long a step is: year, month or day."})
    place = List(Nested(PlaceSchema))
    columns = Dict(keys=String(), values=List(Nested(BucketSchema)))


class ResultSchema(Schema):
    """What a search finds, the best hit first."""

    hits = List(Nested(FoldingHitSchema), required=True)
    total = Integer(required=True, metadata={"description": "Photos in the index."})
    relevant = Integer(
        metadata={"description": "How many of the first hits really match, where `verdict` asked and it can be told."}
    )
    matching = Integer(required=True, metadata={"description": "Photos that pass the filters."})
    listed = Integer(
        metadata={"description": "Hits in all, where that is not `matching`: by date come only the nearest that match."}
    )
    facets = Nested(FacetsSchema, metadata={"description": "Where they were asked for."})
    model_id = String(required=True)
    text_encoder = String(
        allow_none=True,
        metadata={"description": "Who encoded the text: elasticsearch or local; null for searches by image."},
    )
    text_model_id = String(
        allow_none=True, metadata={"description": "The text model in Elasticsearch, where that encoded the text."}
    )
    note = String(allow_none=True, metadata={"description": "What was not as it should be, and what was done instead."})
    took_ms = Dict(keys=String(), values=Float(), metadata={"description": "Milliseconds of each stage."})


class ErrorDetailSchema(Schema):
    """What went wrong, and the remedy."""

    code = String(required=True, metadata={"description": "A stable name: docs/troubleshooting.md has them all."})
    message = String(required=True, metadata={"description": "What happened, and the remedy."})
    request_id = String(required=True, metadata={"description": "As X-Request-ID, and in the lines of the log."})


class ErrorSchema(Schema):
    """The shape of every error."""

    error = Nested(ErrorDetailSchema, required=True)


class AnswerSchema(Schema):
    """The answer to the search by one of several photos: a result, or an error that concerns only this photo."""

    result = Nested(ResultSchema)
    error = Nested(ErrorDetailSchema)


class AnswersSchema(Schema):
    """An answer for each photo."""

    answers = List(Nested(AnswerSchema), required=True, metadata={"description": "In the order of the photos."})


class TextEncoderSchema(Schema):
    """What encodes texts, and why."""

    setting = String(metadata={"description": "TEXT_ENCODER."})
    used = String(allow_none=True, metadata={"description": "elasticsearch or local; null where neither can."})
    text_model_id = String(allow_none=True, metadata={"description": "The text model in Elasticsearch, where used."})
    why = String()


class StatusSchema(Schema):
    """What is indexed, with which model, and where."""

    index = String()
    total = Integer()
    model_id = String()
    dims = Integer()
    elasticsearch = String(metadata={"description": "Version of the server."})
    text_encoder = Nested(TextEncoderSchema, metadata={"description": "Who encodes texts, as of now."})
    indexing = Dict(
        metadata={
            "description": "The indexing run in progress, if any: done, total, alive.",
            "type": ["object", "null"],
        }
    )


class CollectionSchema(Schema):
    """Photos that belong together."""

    name = String(required=True)
    count = Integer(required=True)
    filter = Dict(
        keys=String(),
        values=String(),
        required=True,
        metadata={"description": "The parameter by which a search is limited to it."},
    )
    examples = List(Nested(ImageSchema), required=True, metadata={"description": "The latest of its photos."})


class CollectionsSchema(Schema):
    """The collections that a search can be limited to."""

    by = String(required=True, metadata={"description": "What makes a collection: the setting COLLECTIONS."})
    total = Integer(required=True, metadata={"description": "Photos in the index, also those of no collection."})
    collections = List(Nested(CollectionSchema), required=True)
