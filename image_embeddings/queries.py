"""Elasticsearch request bodies: mapping, kNN search, filters. Pure functions, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from image_embeddings.documents import JSON, Embedding, ImageDocument, ModelInfo
from image_embeddings.metadata import PhotoMetadata

EMBEDDING = "image_embedding"
META_VERSION = 1
MAX_NUM_CANDIDATES = 10_000  # Elasticsearch's own limit, for k too
# Quantised index types rank by rounded vectors. Scoring three times as many candidates again on the full ones makes the
# scores exact, and the first k nearly always the true ones; Elasticsearch's own default for bbq_hnsw.
RESCORE_OVERSAMPLE = 3.0


def index_body(*, model: ModelInfo, vector_index_type: str, corpus: str | None = None) -> JSON:
    """Settings and mapping of a new index for embeddings of `model`."""
    return {
        # A replica as soon as a second node is there to hold it.
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
        "mappings": {
            "dynamic": "strict",
            "_meta": meta(model=model, corpus=corpus),
            "properties": properties(dims=model.dims, vector_index_type=vector_index_type),
        },
    }


def properties(*, dims: int, vector_index_type: str) -> JSON:
    """The fields of an index: the embedding, and those of a document."""
    vector = {
        "type": "dense_vector",
        "dims": dims,
        "index": True,
        "similarity": "cosine",
        "index_options": {"type": vector_index_type},
    }
    return {EMBEDDING: vector, **document_properties()}


def document_properties() -> JSON:
    """The fields of a document but for its embedding."""
    return {
        "image_id": {"type": "keyword"},
        "name": {"type": "text"},
        "folders": {"type": "keyword"},
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "bytes": {"type": "long"},
        "mtime_ns": {"type": "long"},
        "content_hash": {"type": "keyword"},
        "location": {"type": "geo_point"},
        "taken": {"type": "date"},
        "camera_make": {"type": "keyword"},
        "camera_model": {"type": "keyword"},
        "lens": {"type": "keyword"},
        "caption": {"type": "text"},
        "keywords": {"type": "keyword"},
        "label": {"type": "keyword"},
        "extra": {"type": "flattened"},
    }


def missing_properties(mapped: Mapping[str, Any]) -> JSON:
    """Those of a document that an index made by an older version lacks, given the `properties` of its mapping."""
    return {name: field for name, field in document_properties().items() if name not in mapped}


def meta(*, model: ModelInfo, corpus: str | None = None, indexing: JSON | None = None) -> JSON:
    """The mapping's `_meta`: what the index was built with and from, and the indexing run in progress."""
    body: JSON = {"image_search": META_VERSION, **asdict(model)}
    return body | {name: value for name, value in (("corpus", corpus), ("indexing", indexing)) if value}


def model_of(meta_body: Mapping[str, Any]) -> ModelInfo | None:
    """The model that a mapping's `_meta` names; None where the index is not one of ours."""
    if meta_body.get("image_search") != META_VERSION:
        return None
    values = {name: meta_body[name] for name in ModelInfo.__dataclass_fields__}
    return ModelInfo(**{**values, "probe": tuple(values["probe"])})


def document_body(document: ImageDocument, *, vector: Any) -> JSON:
    """The source of one document; `vector` as the server takes it (packed string or list of floats)."""
    parts = document.image_id.split("/")
    body = {
        EMBEDDING: vector,
        **{name: value for name, value in asdict(document).items() if value not in (None, (), {})},
        "name": parts[-1],
        "folders": ["/".join(parts[:depth]) for depth in range(1, len(parts))],
    }
    if document.location:
        body["location"] = {"lat": document.location[0], "lon": document.location[1]}
    return body


def metadata_body(metadata: PhotoMetadata) -> JSON:
    """The part of a document's source that a metadata file gives."""
    values = {"label": metadata.label, "caption": metadata.caption, "extra": dict(metadata.extra)}
    return {name: value for name, value in values.items() if value}


def document_of(source: Mapping[str, Any]) -> ImageDocument:
    """The document that a hit's `_source` (without its embedding) stands for."""
    location = source.get("location")
    values = {name: source[name] for name in ImageDocument.__dataclass_fields__ if name in source}
    values["location"] = (location["lat"], location["lon"]) if location else None
    values["keywords"] = tuple(source.get("keywords", ()))
    return ImageDocument(**values)


def vector_query(embedding: Embedding) -> JSON:
    """The part of a kNN clause that searches near an embedding at hand."""
    return {"query_vector": embedding.tolist()}


def lookup_query(*, index: str, image_id: str) -> JSON:
    """The part of a kNN clause that searches near an indexed photo; Elasticsearch 9.4 and later."""
    return {"query_vector_builder": {"lookup": {"index": index, "id": image_id, "path": EMBEDDING}}}


def text_model_query(*, model_id: str, text: str) -> JSON:
    """The part of a kNN clause that has Elasticsearch encode the text, by the model it runs under `model_id`."""
    return {"query_vector_builder": {"text_embedding": {"model_id": model_id, "model_text": text}}}


def knn_search(
    query: Mapping[str, Any],
    *,
    k: int,
    offset: int = 0,
    num_candidates: int | None = None,
    filters: Sequence[JSON] = (),
) -> JSON:
    """A search for the k nearest photos after the first `offset` ones, with the size of the whole index beside them.

    `query` is one of the `*_query` parts above.
    """
    depth = k + offset
    knn: JSON = {
        "field": EMBEDDING,
        "k": depth,
        "num_candidates": num_candidates or min(max(100, 2 * depth), MAX_NUM_CANDIDATES),
        "rescore_vector": {"oversample": RESCORE_OVERSAMPLE},
        **query,
    }
    if filters:
        knn["filter"] = list(filters)
    return {
        "knn": knn,
        "from": offset,
        "size": k,
        "_source": {"excludes": [EMBEDDING]},
        "aggs": {"corpus": {"global": {}}},
    }


def not_image(image_id: str) -> JSON:
    """A filter that leaves one photo out."""
    return {"bool": {"must_not": {"ids": {"values": [image_id]}}}}


def in_folder(folder: str) -> JSON:
    """A filter for the photos of one folder and those below it."""
    return {"term": {"folders": folder}}
