"""The shapes of the API's answers."""

from typing import Any

from apiflask import Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, String
from marshmallow.fields import Field

from image_embeddings import KEYWORD_FACETS

# Fields of an answer that are there only if the photo's document has them.
OPTIONAL = (
    "taken",
    "taken_by",
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
    "rating",
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
            "description": "ISO 8601, local time, as precise as it is known: a year, a month, a day, or a time, with "
            "its offset from UTC or without it. This field and those below are missing if nothing is known."
        }
    )
    taken_by = String(
        metadata={"description": "What says when it was taken: exif, xmp, iptc, png, sidecar, or name (of the file)."}
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
    rating = Integer(metadata={"description": "-1 (rejected), 0 (without a rating), or 1 to 5."})
    label = String()
    extra = Dict(keys=String(), values=String(), metadata={"description": "Further columns of the metadata file."})


class LocationSchema(Schema):
    """A place on earth."""

    lat = Float(required=True, metadata={"description": "Degrees, north positive."})
    lon = Float(required=True, metadata={"description": "Degrees, east positive."})


class PhotoSchema(ImageSchema):
    """One indexed photo, with the place where it was taken."""

    location = Nested(
        LocationSchema, metadata={"description": "Where it was taken. It is missing if that is not known."}
    )
    altitude = Float(metadata={"description": "Metres, negative below the sea. It is missing if that is not known."})


class HitSchema(ImageSchema):
    """One found photo."""

    rank = Integer(required=True)
    similarity = Float(
        required=True,
        allow_none=True,
        metadata={"description": "Raw cosine, -1 to 1; null if there is no query, only filters."},
    )
    score = Float(
        required=True,
        allow_none=True,
        metadata={"description": "Elasticsearch's score of the embedding: (1 + cosine) / 2."},
    )
    by_words = Boolean(
        required=True,
        metadata={
            "description": "Whether its name, folders, caption, keywords and label have all words of the text that say "
            "something. They raise its rank."
        },
    )
    matches = Boolean(
        metadata={
            "description": "Whether it really matches. It is missing without `verdict`, and if that is not known."
        }
    )


class FoldingHitSchema(HitSchema):
    """One found photo, with its near-duplicates."""

    folded = List(
        Nested(HitSchema),
        metadata={"description": "Its near-duplicates. They are missing without `fold`, and if there are none."},
    )


class BucketSchema(Schema):
    """A value, and the number of photos that have it."""

    value = String(required=True)
    count = Integer(required=True)


class PlaceSchema(LocationSchema):
    """A place, and the number of photos taken around it."""

    count = Integer(required=True)
    box = List(
        Float(), required=True, metadata={"description": "south, west, north, east in degrees: `place` takes it."}
    )


def _keyword_counts() -> "dict[str, Field[Any]]":
    return {name: List(Nested(BucketSchema)) for name in KEYWORD_FACETS}


class FacetsSchema(Schema.from_dict(_keyword_counts(), name="KeywordCountsSchema")):  # type: ignore[misc]
    """The number of photos for each value of each facet.

    The counts of a facet include the photos that pass the filters of all other facets.
    """

    taken = List(
        Nested(BucketSchema), metadata={"description": "By year, month or day. The value is the first day of each."}
    )
    taken_step = String(metadata={"description": "The length of a step: year, month or day."})
    place = List(Nested(PlaceSchema))
    columns = Dict(keys=String(), values=List(Nested(BucketSchema)))


class ResultSchema(Schema):
    """What a search finds, the best hit first."""

    hits = List(Nested(FoldingHitSchema), required=True)
    total = Integer(required=True, metadata={"description": "Photos in the index."})
    relevant = Integer(
        metadata={"description": "Number of hits up to the last that really matches. Missing if `matches` is."}
    )
    matching = Integer(required=True, metadata={"description": "Photos that pass the filters."})
    listed = Integer(
        metadata={"description": "Number of all hits if it is not `matching`: a search by date lists only the nearest."}
    )
    facets = Nested(FacetsSchema, metadata={"description": "They are missing without `facets`."})
    model_id = String(required=True)
    text_encoder = String(
        allow_none=True,
        metadata={"description": "Who encoded the text: elasticsearch or local; null without a text."},
    )
    text_model_id = String(
        allow_none=True, metadata={"description": "Id of the text model in Elasticsearch, if that encoded the text."}
    )
    understood = Boolean(
        required=True,
        metadata={
            "description": "False if a text says nothing that the model knows. Photos then match only by their words."
        },
    )
    note = String(allow_none=True, metadata={"description": "What did not work, and what was done instead."})
    left_out = Integer(
        metadata={
            "description": "Number of hits left out because what the index says of them cannot be right. Missing if "
            "there are none."
        }
    )
    is_partial = Boolean(
        data_key="partial",  # which is a name of Schema's own
        required=True,
        metadata={"description": "True if some photos could not be searched. They lack in hits and numbers."},
    )
    took_ms = Dict(keys=String(), values=Float(), metadata={"description": "Milliseconds of each stage."})


class ErrorDetailSchema(Schema):
    """What went wrong, and the remedy."""

    code = String(required=True, metadata={"description": "A stable name. docs/troubleshooting.md lists all of them."})
    message = String(required=True, metadata={"description": "What happened, and the remedy."})
    request_id = String(
        required=True, metadata={"description": "The same as in the header X-Request-ID and in the log."}
    )


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
    used = String(allow_none=True, metadata={"description": "elasticsearch or local; null if neither can."})
    text_model_id = String(
        allow_none=True, metadata={"description": "Id of the text model in Elasticsearch, if it is used."}
    )
    why = String()


class StatusSchema(Schema):
    """What is indexed, with which model, and where."""

    index = String()
    total = Integer()
    model_id = String()
    dims = Integer()
    elasticsearch = String(metadata={"description": "Version of the server."})
    text_encoder = Nested(TextEncoderSchema, metadata={"description": "Who encodes texts now."})
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
        metadata={"description": "The parameter that limits a search to it."},
    )
    examples = List(Nested(ImageSchema), required=True, metadata={"description": "The latest of its photos."})


class CollectionsSchema(Schema):
    """The collections that a search can be limited to."""

    by = String(required=True, metadata={"description": "What makes a collection: the setting COLLECTIONS."})
    total = Integer(required=True, metadata={"description": "Photos in the index, including those in no collection."})
    collections = List(Nested(CollectionSchema), required=True)
