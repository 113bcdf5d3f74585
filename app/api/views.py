"""The JSON API, and the health of the process."""

import logging
from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from app.api.schemas import (
    OPTIONAL,
    AnswersSchema,
    CollectionsSchema,
    PhotoSchema,
    ResultSchema,
    StatusSchema,
)
from app.search_request.request import SearchRequest, search
from app.search_request.schemas import QuerySchema, UploadSchema, UploadsSchema
from app.services import services
from app.web.addresses import address_of
from app.web.door import door
from app.web.errors import body_of, invite_again, status_of
from app.web.request_record import record
from app.web.visitors import SEE_LOG, choose_text, message_of, message_of_note
from image_embeddings import Facets, Hit, ImageDocument, ImageSearch, SearchResult, errors

blueprint = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="search")
health = Blueprint("health", __name__)

MOST_BYTES = 1_000_000  # of an answer with hits

# What the errors of an operation mean, by HTTP status.
TOO_LONG = {414: "The address is longer than a search needs. Send a form instead."}
ANY = {
    401: "The web app has a password, and the request has neither a token nor a session.",
    500: "A fault of the app. The server's log says more.",
    503: "It cannot be answered now. The code says why.",
}
NOT_FOUND = {404: "There is no such photo in the index."}
UNUSABLE_UPLOAD = {
    413: "The upload is too large, in bytes or in pixels, or the form has more or longer fields than a search needs.",
    415: "The upload is no photo of a kind that is read.",
}


@blueprint.get("/search", endpoint="search")
@blueprint.input(QuerySchema, location="query", arg_name="query")
@blueprint.output(ResultSchema)
@blueprint.doc(responses={**NOT_FOUND, **TOO_LONG, **ANY})
def search_photos(query: SearchRequest) -> Response:
    """Photos for a text, or like an indexed photo."""
    return _as_json(_result(search(query)))  # not by the schema: it would change nothing, and take as long as the rest


@blueprint.post("/search")
@blueprint.input(UploadSchema, location="form_and_files", arg_name="query")
@blueprint.output(ResultSchema)
@blueprint.doc(responses={**NOT_FOUND, **UNUSABLE_UPLOAD, **ANY})
def search_by_upload(query: SearchRequest) -> Response:
    """Photos like the uploaded one, or ones."""
    return _as_json(_result(search(query)))


@blueprint.post("/searches")
@blueprint.input(UploadsSchema, location="form_and_files", arg_name="queries")
@blueprint.output(AnswersSchema)
@blueprint.doc(responses={**NOT_FOUND, **UNUSABLE_UPLOAD, **ANY})
def searches(queries: list[SearchRequest]) -> Response:
    """Photos like each of the uploaded ones. If one cannot be read, the others are still searched for."""
    return _as_json({"answers": [_answer(query) for query in queries]})


@blueprint.get("/images/<path:image_id>")
@blueprint.output(PhotoSchema)
@blueprint.doc(responses={**NOT_FOUND, **ANY})
def image(image_id: str) -> dict[str, Any]:
    """One indexed photo."""
    document = services().search.get(image_id)
    place = dict(zip(("lat", "lon"), document.location or (), strict=False))
    known = {"location": place or None, "altitude": document.altitude}
    return {**_image(document), **{name: value for name, value in known.items() if value is not None}}


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
        "text_encoder": _text_encoder(search),
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
                "filter": {collections.filter_name: collections.value_prefix + found.name},
                "examples": [_image(document) for document in found.examples],
            }
            for found in collections.found
        ],
    }


@health.get("/api/openapi.json")
def openapi() -> Response:
    """The JSON API as OpenAPI 3.1. Its server is the one that was asked, whatever the prefix of its address."""
    app: Any = current_app
    needed: dict[str, Any] = {"security": [{"token": []}]} if door().is_closed else {}
    return jsonify({**app.spec, **needed, "servers": [{"url": request.script_root or "/"}]})


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
        response = jsonify(body_of(code=error.code, message=message_of(error, level=logging.WARNING)))
        response.status_code = max(503, status_of(error))
        return invite_again(response, error)
    return {"status": "ready", "total": total}


def _text_encoder(search: ImageSearch) -> dict[str, str | None]:
    encoder = search.text_encoder()
    why = choose_text(encoder["why"] or "", SEE_LOG, subject="text_encoder")
    return {"setting": search.text_paths.setting, **encoder, "why": why}


def _as_json(answer: dict[str, Any]) -> Response:
    """Return an answer of hits, whose photos may have many and long texts.

    Raises:
        QueryError: if it has more than MOST_BYTES.
    """
    response = jsonify(answer)
    if (size := response.content_length or 0) > MOST_BYTES:
        raise errors.QueryError(
            f"The answer would have {size:,} bytes; {MOST_BYTES:,} at most. Ask for fewer hits (k) at a time."
        )
    return response


def _answer(query: SearchRequest) -> dict[str, Any]:
    try:
        return {"result": _result(search(query))}
    except errors.ImageError as error:
        return {"error": {"code": error.code, "message": message_of(error), "request_id": record().request_id}}


def _image(document: ImageDocument) -> dict[str, Any]:
    values = vars(document)
    return {
        "image_id": document.image_id,
        "width": document.width,
        "height": document.height,
        "bytes": document.bytes,
        "image_url": address_of("photos.image", image_id=document.image_id),
        "thumbnail_url": address_of("photos.thumbnail", image_id=document.image_id),
        **{name: value for name in OPTIONAL if (value := values[name]) or value == 0},
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
        **({"facets": _facets(result.facets)} if result.facets else {}),
        "model_id": result.model_id,
        "text_encoder": result.text_encoder,
        "text_model_id": result.text_model_id,
        "understood": result.understood,
        "note": message_of_note(result.note),
        **({"left_out": len(result.left_out)} if result.left_out else {}),
        "partial": result.partial,
        "took_ms": dict(result.took_ms),
    }


def _facets(facets: Facets) -> dict[str, Any]:
    counts = asdict(facets)
    return {**counts.pop("values"), **counts}
