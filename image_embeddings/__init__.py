"""Index photos and search them by text or image, with Elasticsearch kNN.

settings = load_settings()
search = open_search(settings)
for hit in search.by_text("a dog on the beach").hits:
    print(hit.similarity, hit.image_id)
"""

from image_embeddings import errors
from image_embeddings.assembly import node_moved, open_index, open_search, thumbnails_of
from image_embeddings.config import Settings, load_settings
from image_embeddings.corpus import content_hash, read_bytes, resolve
from image_embeddings.documents import Hit, ImageDocument, ModelInfo, SearchResult
from image_embeddings.images import RENDITION_TYPE, browser_type, decode, rendition
from image_embeddings.index import ImageIndex, IndexState
from image_embeddings.indexing import index_photos
from image_embeddings.log_lines import log_formatter
from image_embeddings.search import MAX_DEPTH, MAX_K, ImageSearch
from image_embeddings.thumbnails import Thumbnails
from image_embeddings.writer import IndexReport

__all__ = [
    "MAX_DEPTH",
    "MAX_K",
    "RENDITION_TYPE",
    "Hit",
    "ImageDocument",
    "ImageIndex",
    "ImageSearch",
    "IndexReport",
    "IndexState",
    "ModelInfo",
    "SearchResult",
    "Settings",
    "Thumbnails",
    "browser_type",
    "content_hash",
    "decode",
    "errors",
    "index_photos",
    "load_settings",
    "log_formatter",
    "node_moved",
    "open_index",
    "open_search",
    "read_bytes",
    "rendition",
    "resolve",
    "thumbnails_of",
]
