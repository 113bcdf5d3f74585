"""Index photos and search them by text or image, with Elasticsearch kNN.

settings = load_settings()
search = open_search(settings)
for hit in search.by_text("a dog on the beach").hits:
    print(hit.similarity, hit.image_id)
"""

from image_embeddings import errors
from image_embeddings.assembly import open_search, thumbnails_of
from image_embeddings.config import OWN_NAMES, Settings, load_settings
from image_embeddings.documents import Bucket, Facets, ImageDocument, ModelInfo, Place, PlaceBucket
from image_embeddings.es.collections import Collection, Collections
from image_embeddings.es.facets import KEYWORD_FACETS, KeywordFacet
from image_embeddings.es.filters import Filters
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.nearest import Hit
from image_embeddings.es.opening import node_moved, open_index, uses_embedded_node
from image_embeddings.es.queries import BY_DATE_DEPTH, SORTS
from image_embeddings.indexing.last_failure import read_indexing_failure
from image_embeddings.indexing.report import IndexReport
from image_embeddings.indexing.runs import index_photos
from image_embeddings.log_format import log_formatter
from image_embeddings.photos.browsers import RENDITION_TYPE, browser_type, rendition
from image_embeddings.photos.decoding import SHORT_SIDE, SUFFIXES, decode
from image_embeddings.photos.photo import content_hash
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.search.image_search import ImageSearch
from image_embeddings.search.request import MAX_DEPTH, MAX_K, MAX_PARTS, Indexed, Limits, Part
from image_embeddings.search.result import SearchResult
from image_embeddings.sources.photo_folder import resolve
from image_embeddings.sources.reading import read_bytes

__all__ = [
    "BY_DATE_DEPTH",
    "KEYWORD_FACETS",
    "MAX_DEPTH",
    "MAX_K",
    "MAX_PARTS",
    "OWN_NAMES",
    "RENDITION_TYPE",
    "SHORT_SIDE",
    "SORTS",
    "SUFFIXES",
    "Bucket",
    "Collection",
    "Collections",
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
    "Place",
    "PlaceBucket",
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
    "read_indexing_failure",
    "rendition",
    "resolve",
    "thumbnails_of",
    "uses_embedded_node",
]
