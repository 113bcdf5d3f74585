"""The JSON API, and the health of the process."""

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, String
from flask import Blueprint, Response, jsonify, url_for
from flask.typing import ResponseReturnValue

from app.search_request import parameters
from app.search_request.parameters import QuerySchema, UploadSchema, UploadsSchema
from app.services import services
from app.web.errors import body_of, status_of
from app.web.request_record import record
from image_embeddings import Hit, ImageDocument, SearchResult, errors

blueprint = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="search")
health = Blueprint("health", __name__)


# What the errors of an operation stand for, by HTTP status.
ANY = {500: "A fault of the app: the server's log tells.", 503: "It cannot be answered just now; the code says why."}
NOT_FOUND = {404: "There is no such photo in the index."}
UNUSABLE_UPLOAD = {413: "The upload is too large, in bytes or in pixels.", 415: "The upload is no photo that is read."}


# What a photo's document may have, and its answer has then.
OPTIONAL = ("taken", "camera_make", "camera_model", "lens", "caption", "keywords", "label", "extra")


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
    keywords = List(String())
    label = String()
    extra = Dict(keys=String(), values=String(), metadata={"description": "Further columns of the metadata file."})


class LocationSchema(Schema):
    """A place on earth."""

    lat = Float(required=True, metadata={"description": "Degrees, north positive."})
    lon = Float(required=True, metadata={"description": "Degrees, east positive."})


class PhotoSchema(ImageSchema):
    """One indexed photo, with where it was taken."""

    location = Nested(LocationSchema, metadata={"description": "Where it was taken; only there where that is known."})


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
    """So many photos have one value."""

    value = String(required=True)
    count = Integer(required=True)


class PlaceSchema(LocationSchema):
    """So many photos were taken around one place."""

    count = Integer(required=True)
    box = List(
        Float(), required=True, metadata={"description": "south, west, north, east in degrees: `place` takes it."}
    )


class FacetsSchema(Schema):
    """How many photos of each kind there are, of those that the filters of all other kinds let through."""

    folder = List(Nested(BucketSchema))
    label = List(Nested(BucketSchema))
    camera = List(Nested(BucketSchema))
    orientation = List(Nested(BucketSchema))
    taken = List(Nested(BucketSchema), metadata={"description": "By the day on which each step of time begins."})
    taken_step = String(metadata={"description": "How long a step is: year, month or day."})
    place = List(Nested(PlaceSchema))
    columns = Dict(keys=String(), values=List(Nested(BucketSchema)))


class ResultSchema(Schema):
    """What a search found, best first."""

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
    """What went wrong."""

    code = String(required=True, metadata={"description": "A stable name: docs/troubleshooting.md has them all."})
    message = String(required=True, metadata={"description": "What happened, and the remedy."})
    request_id = String(required=True, metadata={"description": "As X-Request-ID, and in the lines of the log."})


class ErrorSchema(Schema):
    """The one shape of errors."""

    error = Nested(ErrorDetailSchema, required=True)


class AnswerSchema(Schema):
    """What the search by one of several photos came to: a result, or an error that is this photo's own."""

    result = Nested(ResultSchema)
    error = Nested(ErrorDetailSchema)


class AnswersSchema(Schema):
    """An answer for each photo."""

    answers = List(Nested(AnswerSchema), required=True, metadata={"description": "In the order of the photos."})


class TextEncoderSchema(Schema):
    """Who encodes texts, and why."""

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
    """What the photos can be searched in."""

    by = String(required=True, metadata={"description": "What makes a collection: the setting COLLECTIONS."})
    total = Integer(required=True, metadata={"description": "Photos in the index, also those of no collection."})
    collections = List(Nested(CollectionSchema), required=True)


@blueprint.get("/search")
@blueprint.input(QuerySchema, location="query", arg_name="query")
@blueprint.output(ResultSchema)
@blueprint.doc(responses={**NOT_FOUND, **ANY})
def search(query: dict[str, Any]) -> Response:
    """Photos for a text, or like an indexed photo."""
    return jsonify(_found(query))  # the schema has nothing to change in it, and would take as long as the rest


@blueprint.post("/search")
@blueprint.input(UploadSchema, location="form_and_files", arg_name="query")
@blueprint.output(ResultSchema)
@blueprint.doc(responses={**NOT_FOUND, **UNUSABLE_UPLOAD, **ANY})
def search_by_upload(query: dict[str, Any]) -> Response:
    """Photos like the uploaded one, or ones."""
    return jsonify(_found(query))


@blueprint.post("/searches")
@blueprint.input(UploadsSchema, location="form_and_files", arg_name="query")
@blueprint.output(AnswersSchema)
@blueprint.doc(responses={**NOT_FOUND, **UNUSABLE_UPLOAD, **ANY})
def searches(query: dict[str, Any]) -> Response:
    """Photos like each of the uploaded ones; one that cannot be read does not spoil the others."""
    return jsonify({"answers": [_answer(found) for found in parameters.search_each(query)]})


@blueprint.get("/images/<path:image_id>")
@blueprint.output(PhotoSchema)
@blueprint.doc(responses={**NOT_FOUND, **ANY})
def image(image_id: str) -> dict[str, Any]:
    """One indexed photo."""
    document = services().search.get(image_id)
    place = dict(zip(("lat", "lon"), document.location or (), strict=False))
    return {**_image(document), **({"location": place} if place else {})}


@blueprint.get("/status")
@blueprint.output(StatusSchema)
@blueprint.doc(responses=ANY)
def status() -> dict[str, Any]:
    """What is indexed, with which model, and where."""
    search = services().search
    index = search.index
    model = index.state().model
    indexing = services().indexing()
    return {
        "index": index.name,
        "total": index.count(),
        "model_id": model.model_id,
        "dims": model.dims,
        "elasticsearch": ".".join(map(str, index.cluster.server_version())),
        "text_encoder": {"setting": search.text_paths.setting, **search.text_encoder()},
        "indexing": indexing and {"done": indexing.done, "total": indexing.total, "alive": indexing.alive},
    }


@blueprint.get("/collections")
@blueprint.output(CollectionsSchema)
@blueprint.doc(responses=ANY)
def collections() -> dict[str, Any]:
    """The collections that the photos fall into, the largest first."""
    collections = services().collections()
    return {
        "by": services().settings.collections,
        "total": collections.total,
        "collections": [
            {
                "name": found.name,
                "count": found.count,
                "filter": {collections.filter_name: collections.filter_value(found.name)},
                "examples": [_image(document) for document in found.examples],
            }
            for found in collections.found
        ],
    }


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process is up."""
    return {"status": "ok"}


@health.get("/readyz")
def readyz() -> ResponseReturnValue:
    """A search can be answered; 503 with the reason otherwise."""
    try:
        services().search.warm_up()
        total = services().search.index.count()
    except errors.ImageSearchError as error:
        if isinstance(error, errors.UnreachableError):
            services().reconnect()
        return body_of(code=error.code, message=str(error)), max(503, status_of(error))
    return {"status": "ready", "total": total}


def _found(query: dict[str, Any]) -> dict[str, Any]:
    return _result(parameters.search(query))


def _answer(found: SearchResult | errors.ImageError) -> dict[str, Any]:
    if isinstance(found, SearchResult):
        return {"result": _result(found)}
    return {"error": {"code": found.code, "message": str(found), "request_id": record().request_id}}


def _image(document: ImageDocument) -> dict[str, Any]:
    return {
        "image_id": document.image_id,
        "width": document.width,
        "height": document.height,
        "bytes": document.bytes,
        "image_url": url_for("photos.image", image_id=document.image_id),
        "thumbnail_url": url_for("photos.thumbnail", image_id=document.image_id),
        **{name: value for name in OPTIONAL if (value := getattr(document, name))},
    }


def _hit(hit: Hit) -> dict[str, Any]:
    verdict = {} if hit.matches is None else {"matches": hit.matches}
    found = {"rank": hit.rank, "similarity": hit.similarity, "score": hit.score, "by_words": hit.by_words, **verdict}
    return {**_image(hit.document), **found, **({"folded": list(map(_hit, hit.folded))} if hit.folded else {})}


def _result(result: SearchResult) -> dict[str, Any]:
    return {
        "hits": [_hit(hit) for hit in result.hits],
        "total": result.total,
        "matching": result.matching,
        **({} if result.listed is None else {"listed": result.listed}),
        **({} if result.relevant is None else {"relevant": result.relevant}),
        **({"facets": asdict(result.facets)} if result.facets else {}),
        "model_id": result.model_id,
        "text_encoder": result.text_encoder,
        "text_model_id": result.text_model_id,
        "note": result.note,
        "took_ms": dict(result.took_ms),
    }
