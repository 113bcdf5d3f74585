"""The JSON API, and the health of the process."""

from typing import Any, ClassVar

from apiflask import APIBlueprint, Schema
from apiflask.fields import Dict, File, Float, Integer, List, Nested, String
from apiflask.validators import Length, Range
from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, validates_schema

from app.errors import body_of, status_of
from app.metrics import observe
from app.services import services
from app.uploads import query_image
from image_embeddings import MAX_K, Hit, ImageDocument, SearchResult, errors

blueprint = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="search")
health = Blueprint("health", __name__)


# What a photo's document may have, and its answer has then.
OPTIONAL = ("taken", "camera_make", "camera_model", "lens", "caption", "keywords", "label", "extra")


class PageSchema(Schema):
    """Which of the hits are wanted."""

    k = Integer(load_default=10, validate=Range(1, MAX_K), metadata={"description": "Hits wanted."})
    offset = Integer(load_default=0, validate=Range(0, 10_000), metadata={"description": "Hits to pass over."})
    folder = String(metadata={"description": "Only photos of this folder."})


class QuerySchema(PageSchema):
    """A search by text or by an indexed photo."""

    q = String(metadata={"description": "What the photo shows, in any language the model knows."})
    like = String(validate=Length(1), metadata={"description": "image_id of a photo to find others like."})

    queries: ClassVar[tuple[str, ...]] = ("q", "like")

    @validates_schema
    def one_query(self, data: dict[str, Any], **_: Any) -> None:
        """Raises unless exactly one query is given."""
        if sum(name in data for name in self.queries) != 1:
            raise ValidationError(f"Give one query: {' or '.join(self.queries)}.", self.queries[0])


class UploadSchema(QuerySchema):
    """A search by an uploaded photo; or by text or an indexed photo, as with GET."""

    image = File(  # type: ignore[no-untyped-call]
        metadata={"description": "A JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF or camera RAW file."}
    )

    queries: ClassVar[tuple[str, ...]] = ("image", "q", "like")


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
    similarity = Float(required=True, metadata={"description": "Raw cosine, -1 to 1."})
    score = Float(required=True, metadata={"description": "Elasticsearch's _score: (1 + cosine) / 2."})


class ResultSchema(Schema):
    """What a search found, best first."""

    hits = List(Nested(HitSchema), required=True)
    total = Integer(required=True, metadata={"description": "Photos in the index."})
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


class ErrorSchema(Schema):
    """The one shape of errors."""

    error = Nested(ErrorDetailSchema, required=True)


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


@blueprint.get("/search")
@blueprint.input(QuerySchema, location="query", arg_name="query")
@blueprint.output(ResultSchema)
def search(query: dict[str, Any]) -> dict[str, Any]:
    """Photos for a text, or like an indexed photo."""
    return _found(query)


@blueprint.post("/search")
@blueprint.input(UploadSchema, location="form_and_files", arg_name="query")
@blueprint.output(ResultSchema)
def search_by_upload(query: dict[str, Any]) -> dict[str, Any]:
    """Photos like the uploaded one."""
    return _found(query)


@blueprint.get("/images/<path:image_id>")
@blueprint.output(PhotoSchema)
def image(image_id: str) -> dict[str, Any]:
    """One indexed photo."""
    document = services().search.get(image_id)
    place = dict(zip(("lat", "lon"), document.location or (), strict=False))
    return {**_image(document), **({"location": place} if place else {})}


@blueprint.get("/status")
@blueprint.output(StatusSchema)
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
    page = {name: query[name] for name in ("k", "offset", "folder") if name in query}
    search = services().search
    if "image" in query:
        result = search.by_image(query_image(query["image"]), **page)
    elif "q" in query:
        result = search.by_text(query["q"], **page)
    else:
        result = search.like(query["like"], **page)
    return _result(observe(result))


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
    return {**_image(hit.document), "rank": hit.rank, "similarity": hit.similarity, "score": hit.score}


def _result(result: SearchResult) -> dict[str, Any]:
    return {
        "hits": [_hit(hit) for hit in result.hits],
        "total": result.total,
        "model_id": result.model_id,
        "text_encoder": result.text_encoder,
        "text_model_id": result.text_model_id,
        "note": result.note,
        "took_ms": dict(result.took_ms),
    }
