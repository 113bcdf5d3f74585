"""Where the public names of the library are. `image_embeddings` loads this module when the first of them is used."""

from image_embeddings.access_settings import MAX_PASSWORD, plain_password
from image_embeddings.assembly import data_dir_warning, open_search, thumbnails_of
from image_embeddings.config import Settings, load_settings
from image_embeddings.documents import (
    MAX_IMAGE_ID_BYTES,
    Bucket,
    Facets,
    ImageDocument,
    ModelInfo,
    Place,
    PlaceBucket,
)
from image_embeddings.es.collections import Collection, Collections
from image_embeddings.es.document_source import left_out_message
from image_embeddings.es.facets import KEYWORD_FACETS, MAX_VALUE_BYTES, KeywordFacet
from image_embeddings.es.filters import MAX_VALUES, Filters
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.nearest import Hit
from image_embeddings.es.opening import node_answers, node_moved, open_index, uses_embedded_node
from image_embeddings.es.queries import BY_DATE_DEPTH, SORTS
from image_embeddings.indexing.last_failure import read_indexing_failure
from image_embeddings.indexing.report import IndexReport
from image_embeddings.indexing.runs import index_photos
from image_embeddings.log_format import log_formatter
from image_embeddings.memory_arenas import limit_arenas
from image_embeddings.photos.browsers import RENDITION_TYPE, browser_type, rendition
from image_embeddings.photos.decoders import UPLOAD_BYTES, Decoders, serving_decoders
from image_embeddings.photos.decoding import SHORT_SIDE, SUFFIXES, decode
from image_embeddings.photos.photo import content_hash
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.search.image_search import ImageSearch
from image_embeddings.search.request import (
    MAX_DEPTH,
    MAX_K,
    MAX_PARTS,
    MAX_TEXT,
    MAX_WEIGHT,
    MIN_WEIGHT,
    Indexed,
    Limits,
    Part,
)
from image_embeddings.search.result import SearchResult
from image_embeddings.serving.access import (
    EXPOSURE_REMEDIES,
    Access,
    exposure_error,
    is_this_machine,
    read_access,
    session_secret,
)
from image_embeddings.serving.secret_files import keep_key
from image_embeddings.sources.choice import source_of
from image_embeddings.sources.metadata_table import COLUMN_LENGTH
from image_embeddings.sources.source import PhotoFile, PhotoSource
