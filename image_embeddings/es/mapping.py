"""What is written into an index: its mapping, its `_meta`, and the sources of its documents. Pure functions, no I/O."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from image_embeddings.documents import FORMAT, JSON, ImageDocument, ModelInfo, PhotoMetadata, is_model_name
from image_embeddings.es.facets import KEYWORD_FACETS
from image_embeddings.es.filters import COLUMN_SEPARATOR, WALL_TIME, WALL_TIME_END
from image_embeddings.es.queries import EMBEDDING, UNDATED_MTIME
from image_embeddings.photos.dates import last_day
from image_embeddings.words.terms import words_of

META_VERSION = 1
TABLE_FIELDS = ("label", "table_caption", "extra")  # what metadata tables say
_OFFSET = re.compile(r"(?<=[\d.])(Z|[+-]\d\d:\d\d)$")


def index_body(
    *,
    model: ModelInfo,
    vector_index_type: str,
    corpus: str | None = None,
    shards: int = 1,
    copies: JSON | None = None,
) -> JSON:
    """Return settings and mapping of a new index for embeddings of `model`.

    `copies` are the settings of its copies and of what searches see: see `serving_copies` and `FILLING`.
    """
    return {
        "settings": {"number_of_shards": shards, **(serving_copies(None) if copies is None else copies)},
        "mappings": {
            "dynamic": "strict",
            "_meta": meta(model=model, corpus=corpus),
            "properties": properties(dims=model.dims, vector_index_type=vector_index_type),
        },
    }


# While an index is filled that nobody searches yet: the graphs of its embeddings are built once, and in large segments.
FILLING = {"number_of_replicas": 0, "auto_expand_replicas": "false", "refresh_interval": "-1"}


# How Elasticsearch searches the graph of an index, from which version on, and what it would do otherwise: 9.1 and later
# look only at photos that pass the filter, and 9.3 and later end a search when further steps find few photos. Both miss
# many of the nearest, however many candidates are asked for. docs/scale.md has figures.
GRAPH_SETTINGS: dict[str, tuple[tuple[int, int], Any]] = {
    "index.dense_vector.hnsw_filter_heuristic": ((9, 1), "fanout"),
    "index.dense_vector.hnsw_enable_early_termination": ((9, 3), False),
}


def serving_copies(replicas: int | None) -> JSON:
    """Return the settings of an index that is searched, with so many copies of each shard.

    If `replicas` is None, Elasticsearch adds one copy as soon as there is a second node for it.
    """
    if replicas is None:
        return {"auto_expand_replicas": "0-1"}
    return {"number_of_replicas": replicas, "auto_expand_replicas": "false"}


def properties(*, dims: int, vector_index_type: str) -> JSON:
    """Return the fields of an index: the embedding, and those of a document."""
    vector = {
        "type": "dense_vector",
        "dims": dims,
        "index": True,
        "similarity": "cosine",
        "index_options": {"type": vector_index_type},
    }
    return {EMBEDDING: vector, **document_properties()}


def document_properties() -> JSON:
    """Return the fields of a document, except the embedding."""
    return {
        "image_id": {"type": "keyword"},
        "name": {"type": "text"},
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "bytes": {"type": "long"},
        "mtime_ns": {"type": "long"},
        "content_hash": {"type": "keyword"},
        "ctime_ns": {"type": "long"},
        "inode": {"type": "long"},
        "etag": {"type": "keyword", "index": False},
        "sidecar_state": {"type": "keyword", "index": False},
        "location": {"type": "geo_point"},
        "altitude": {"type": "float"},
        "taken": {"type": "date"},
        "taken_by": {"type": "keyword"},
        "camera_make": {"type": "keyword"},
        "lens": {"type": "keyword"},
        "caption": {"type": "text"},
        "table_caption": {"type": "keyword", "index": False, "doc_values": False},
        "title": {"type": "keyword", "index": False, "doc_values": False},
        "headline": {"type": "keyword", "index": False, "doc_values": False},
        "keywords": {"type": "keyword"},
        "city": {"type": "keyword"},
        "country": {"type": "keyword"},
        "persons": {"type": "keyword"},
        "rating": {"type": "byte"},
        "extra": {"type": "flattened"},
        "preview": {"type": "keyword", "index": False, "doc_values": False},
        "fingerprint": {"type": "keyword", "index": False, "doc_values": False},
        "format": {"type": "byte"},
        **{facet.field: {"type": "keyword"} for facet in KEYWORD_FACETS.values()},
        # Derived fields, for searches by words, for facets, and for dates. Each is made from values that one request
        # writes.
        "words": {"type": "text"},
        "label_words": {"type": "text"},
        "extra_words": {"type": "text"},
        "columns": {"type": "keyword"},
        WALL_TIME: {"type": "date"},
        WALL_TIME_END: {"type": "date"},
        UNDATED_MTIME: {"type": "long"},
    }


def vector_index_type_of(body: Mapping[str, Any]) -> str:
    """Return how the index of a mapping keeps its embeddings: a value of VECTOR_INDEX_TYPE, or empty if unknown."""
    field = body.get("properties", {}).get(EMBEDDING, {})
    return str(field.get("index_options", {}).get("type", ""))


def missing_properties(mapped: Mapping[str, Any]) -> JSON:
    """Return the fields of a document that an older index lacks. `mapped` are the `properties` of its mapping."""
    return {name: field for name, field in document_properties().items() if name not in mapped}


def meta(
    *,
    model: ModelInfo,
    corpus: str | None = None,
    indexing: JSON | None = None,
    oldest_format: int = FORMAT,
    calibration: JSON | None = None,
) -> JSON:
    """Return the mapping's `_meta`: model and folder of the index, and the indexing run in progress.

    `oldest_format` is the lowest `format` that a document of it may have. `calibration` says what likeness is usual.
    """
    body: JSON = {"image_search": META_VERSION, "oldest_format": oldest_format, **asdict(model)}
    known = {"corpus": corpus, "indexing": indexing, "calibration": calibration}
    return body | {name: value for name, value in known.items() if value}


def model_of(meta_body: Mapping[str, Any]) -> ModelInfo | None:
    """Return the model that a mapping's `_meta` names, or None if the index is not one of ours.

    A model_id that is a path is not one of ours either: it would be loaded from there.
    """
    if meta_body.get("image_search") != META_VERSION or not is_model_name(meta_body.get("model_id")):
        return None
    values = {name: meta_body[name] for name in ModelInfo.__dataclass_fields__}
    return ModelInfo(**{**values, "probe": tuple(values["probe"])})


def stores_documents(mappings: Mapping[str, Any]) -> bool:
    """Return whether an index of this mapping keeps the documents themselves, and not only what searches need."""
    return mappings.get("_source", {}).get("enabled", True) in (True, "true")


def document_body(document: ImageDocument, *, vector: Any) -> JSON:
    """Return the source of one document. `vector` is a packed string or a list of floats, as the server reads it."""
    parts = document.image_id.split("/")
    body = {
        EMBEDDING: vector,
        **{name: value for name, value in asdict(document).items() if not _is_unknown(name, value)},
        "name": parts[-1],
        "words": words_of([*parts[:-1], PurePosixPath(parts[-1]).stem, *_own_words(document)]),
        **_derived(label=document.label, extra=document.extra),
        **(_times(document.taken) if document.taken else {UNDATED_MTIME: document.mtime_ns}),
    }
    keywords = {facet.field: facet.values_of(document) for facet in KEYWORD_FACETS.values()}
    body |= {field: values for field, values in keywords.items() if values is not None}
    if document.location:
        body["location"] = {"lat": document.location[0], "lon": document.location[1]}
    return body


def _is_unknown(name: str, value: Any) -> bool:
    return value in (None, (), {}) or (name in ("ctime_ns", "inode") and value == 0)


def _own_words(document: ImageDocument) -> list[str]:
    """Return what a photo says in words besides its caption."""
    single = (document.title, document.headline, document.city, document.country)
    return [*document.keywords, *document.persons, *filter(None, single)]


def metadata_body(metadata: PhotoMetadata) -> JSON:
    """Return the part of a document's source that comes from a metadata file.

    `metadata` is all that tables have said of the photo up to now. The derived fields are made of the whole.
    """
    values: JSON = {"label": metadata.label, "caption": metadata.caption, "table_caption": metadata.caption}
    values |= {"extra": dict(metadata.extra), **_derived(label=metadata.label, extra=metadata.extra)}
    return {name: value for name, value in values.items() if value}


def _times(taken: str) -> JSON:
    """Return a date without its offset from UTC: the time that a clock at the place of the photo showed.

    Of a year or a month alone, it is the beginning, and the end is known too.
    """
    last = last_day(taken)
    return {WALL_TIME: _OFFSET.sub("", taken), **({WALL_TIME_END: last.isoformat()} if last else {})}


def metadata_of(source: Mapping[str, Any]) -> PhotoMetadata:
    """Return what tables have said of a photo, from the TABLE_FIELDS of its document's source."""
    return PhotoMetadata(
        label=source.get("label"), caption=source.get("table_caption"), extra=source.get("extra") or {}
    )


def _derived(*, label: str | None, extra: Mapping[str, str]) -> JSON:
    """Return the fields that searches by words and facets read, from a metadata file's columns.

    They are sorted by column: Elasticsearch does not keep the order of `extra` when it updates a document.
    """
    columns = sorted(extra.items())
    values = {
        "label_words": words_of([label or ""]),
        "extra_words": words_of(value for _, value in columns),
        "columns": [f"{column}{COLUMN_SEPARATOR}{value}" for column, value in columns],
    }
    return {name: value for name, value in values.items() if value}
