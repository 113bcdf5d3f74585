"""Index photos and search them by text or image, with Elasticsearch kNN.

settings = load_settings()
search = open_search(settings)
for hit in search.by_text("a dog on the beach").hits:
    print(hit.similarity, hit.image_id)
"""

from typing import TYPE_CHECKING, Any

from image_embeddings import errors

if TYPE_CHECKING:
    from image_embeddings.public_names import *

__all__ = [
    "BY_DATE_DEPTH",
    "COLUMN_LENGTH",
    "EXPOSURE_REMEDIES",
    "KEYWORD_FACETS",
    "MAX_DEPTH",
    "MAX_IMAGE_ID_BYTES",
    "MAX_K",
    "MAX_PARTS",
    "MAX_PASSWORD",
    "MAX_TEXT",
    "MAX_VALUES",
    "MAX_VALUE_BYTES",
    "MAX_WEIGHT",
    "MIN_WEIGHT",
    "RENDITION_TYPE",
    "SHORT_SIDE",
    "SORTS",
    "SUFFIXES",
    "UPLOAD_BYTES",
    "Access",
    "Bucket",
    "Collection",
    "Collections",
    "Decoders",
    "Facets",
    "Filters",
    "Hit",
    "ImageDocument",
    "ImageIndex",
    "ImageSearch",
    "IndexReport",
    "IndexState",
    "Indexed",
    "KeywordFacet",
    "Limits",
    "ModelInfo",
    "Part",
    "PhotoFile",
    "PhotoSource",
    "Place",
    "PlaceBucket",
    "SearchResult",
    "Settings",
    "Thumbnails",
    "browser_type",
    "content_hash",
    "data_dir_warning",
    "decode",
    "errors",
    "exposure_error",
    "index_photos",
    "is_this_machine",
    "keep_key",
    "left_out_message",
    "limit_arenas",
    "load_settings",
    "log_formatter",
    "node_answers",
    "node_moved",
    "open_index",
    "open_search",
    "plain_password",
    "read_access",
    "read_indexing_failure",
    "rendition",
    "serving_decoders",
    "session_secret",
    "source_of",
    "thumbnails_of",
    "uses_embedded_node",
]


def __getattr__(name: str) -> Any:
    """Return a public name. The first one loads most modules of the library.

    Programs that import only some modules, as the processes that decode photos do, start in half the time without them.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from image_embeddings import public_names

    return getattr(public_names, name)
