"""Every error that this package raises on purpose. Its message says to whoever runs it what happened, and the remedy.

Visitors of the web app see it only if it speaks of their own request (app/web/visitors.py).

ImageSearchError
├── SettingError               a setting has a value that cannot be used
├── QueryError                 a query that makes no sense: empty text, k out of range, …
├── ImageError
│   ├── ImageUnreadableError   not an image, or a damaged one
│   ├── ImageTooLargeError     more pixels or memory than allowed
│   ├── ImageSlowError         it takes too long to decode
│   ├── ImageMemoryError       too little memory to decode it now; the image may be fine
│   └── DecodersBusyError      other images are decoded now; the image may be fine
├── CorpusError                the photos are missing, or one cannot be read now
│   └── SourceUnreachableError the machines that hold the photos do not answer, or let nobody in
├── MetadataError              the metadata file cannot be read, or some of its lines cannot be used
├── EmbeddingFilesError        files of embeddings are damaged, or do not fit
├── StoreError                 a folder or an object store for files cannot be used
│   ├── StoreUnreachableError  it does not answer, or lets nobody in
│   ├── StoreMissingError      it has no such file
│   └── StoreChangedError      it has another file than the one that is meant
├── SparkJobError              a job on a Spark cluster was given up
├── DataDirError               DATA_DIR is not writable
├── ModelError
│   ├── ModelUnavailableError  the model's files are not available, or cannot be loaded
│   ├── ModelMismatchError     two models whose embeddings cannot be compared
│   └── TextModelError         the text model inside Elasticsearch cannot encode
│       ├── MachineLearningMissingError  this Elasticsearch has no machine learning
│       ├── TextModelLicenceError        its licence does not include machine learning
│       ├── TextModelPermissionError     the user may not use it
│       ├── TextModelMissingError        the model is not in Elasticsearch
│       ├── TextModelIncompleteError     its upload is incomplete
│       ├── TextModelStoppedError        it is there, but not started
│       ├── TextModelStartingError       it is still starting
│       ├── TextModelFailedError         it did not start, or failed later
│       ├── TextModelMemoryError         the ML nodes have too little memory for it
│       ├── TextModelBusyError           its queue is full
│       ├── TextModelSlowError           it did not answer in time
│       └── TextModelInputError          it refuses this text; it may accept others
├── ElasticsearchError
│   ├── UnreachableError       nothing answers at ES_HOST
│   ├── SlowError              no answer in time
│   ├── AuthenticationError    wrong user, password or API key
│   ├── PermissionDeniedError  right credentials, too few privileges
│   ├── CertificateError       the server's certificate is not signed by ES_CA_CERTS
│   ├── ServerVersionError     an Elasticsearch that this client cannot talk to
│   └── RequestError           Elasticsearch refused a request
│       ├── DiskFullError      its disk is full
│       ├── PartialAnswerError  some of the index could not be read
│       │   └── SnapshotLostError  a node went away while it was read page by page
│       └── BlockedError       the index is closed, or a setting of index or cluster forbids the request
├── IndexStateError
│   ├── IndexMissingError      nothing has been indexed yet
│   ├── IndexForeignError      an index of that name exists, but is not ours
│   ├── IndexTemplateError     it is not as we made it, because of an index template
│   ├── IndexBusyError         another run writes into it
│   ├── IndexEmptyError        it holds no photos
│   └── ImageNotFoundError     it has no document with that image_id
└── EmbeddedNodeError
    ├── NodeDownloadError      the embedded node's jars cannot be fetched
    ├── NodePortError          its port is taken
    ├── NodeMemoryError        not enough memory for its heap
    ├── NodeDataError          its data was written by a newer version, or is damaged
    ├── NodeStartingError      another request is starting it
    └── NodeStartError         it did not start for another reason
"""

REPEATED = 100  # characters of a value that a message repeats, at most
PASSING = (429, 502, 503, 504)  # HTTP statuses of failures that end by themselves: too busy, not there yet


def shorten(value: object) -> str:
    """Return a value as a message repeats it: REPEATED characters at most."""
    text = str(value)
    return text if len(text) <= REPEATED else f"{text[:REPEATED]}…"


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error, or the name of its type if it has no text."""
    return next(iter(str(error).strip().splitlines()), "").strip() or type(error).__name__


class ImageSearchError(Exception):
    """Base of all errors here. `code` is the stable name of the error in the JSON API."""

    code = "internal_error"


class SettingError(ImageSearchError):
    """A setting has a value that cannot be used."""

    code = "bad_setting"


class QueryError(ImageSearchError):
    """A query that makes no sense."""

    code = "bad_query"


class ImageError(ImageSearchError):
    """An image that cannot be used."""

    code = "image_unusable"


class ImageUnreadableError(ImageError):
    """A file that is not an image, or a damaged image."""

    code = "image_unreadable"


class ImageTooLargeError(ImageError):
    """An image with more pixels or bytes than allowed, or that would take more memory than allowed."""

    code = "image_too_large"


class ImageMemoryError(ImageError):
    """An image that cannot be decoded now, because the system has too little memory. It says nothing of the image."""

    code = "image_memory"


class ImageSlowError(ImageError):
    """An image that takes too long to decode, on this machine and now."""

    code = "image_slow"


class DecodersBusyError(ImageError):
    """An image that cannot be decoded now, because others are. It says nothing of the image."""

    code = "decoders_busy"


class CorpusError(ImageSearchError):
    """The folder of photos is missing, or holds nothing that can be indexed."""

    code = "corpus_unusable"


class SourceUnreachableError(CorpusError):
    """The machines that hold the photos do not answer, or refuse the credentials. It says nothing of a photo."""

    code = "source_unreachable"

    def __init__(self, message: str, *, passes: bool = False) -> None:
        """Take the message, and whether waiting may help."""
        super().__init__(message)
        self.passes = passes


class MetadataError(ImageSearchError):
    """The metadata file cannot be read, or some of its lines cannot be used."""

    code = "metadata_unusable"


class EmbeddingFilesError(ImageSearchError):
    """Files of embeddings cannot be read or written, or do not fit the index."""

    code = "embedding_files_unusable"


class StoreError(ImageSearchError):
    """A folder or an object store for files cannot be used, or one of its files."""

    code = "store_unusable"


class StoreUnreachableError(StoreError):
    """A store does not answer, or refuses the credentials. It says nothing of a file."""

    code = "store_unreachable"

    def __init__(self, message: str, *, passes: bool = False) -> None:
        """Take the message, and whether waiting may help."""
        super().__init__(message)
        self.passes = passes


class StoreMissingError(StoreError):
    """There is no such file."""


class StoreChangedError(StoreError):
    """There is another file of that name than the one that is meant."""


class SparkJobError(ImageSearchError):
    """A job on a Spark cluster was given up."""

    code = "spark_job_failed"


class DataDirError(ImageSearchError):
    """The folder for thumbnails and locks is not writable."""

    code = "data_dir_unusable"


class ModelError(ImageSearchError):
    """A model that cannot be used."""

    code = "model_unusable"


class ModelUnavailableError(ModelError):
    """A model whose files are not available, or cannot be loaded."""

    code = "model_unavailable"


class ModelMismatchError(ModelError):
    """Two models whose embeddings cannot be compared: those of index and encoder, or of images and texts."""

    code = "model_mismatch"


class TextModelError(ModelError):
    """The text model inside Elasticsearch cannot encode texts."""

    code = "text_model_unusable"


class MachineLearningMissingError(TextModelError):
    """An Elasticsearch without machine learning, such as the embedded node."""

    code = "ml_missing"


class TextModelLicenceError(TextModelError):
    """A licence that does not include machine learning, or that has expired."""

    code = "ml_licence"


class TextModelPermissionError(TextModelError):
    """A user of Elasticsearch who may not use machine learning."""

    code = "text_model_permission"


class TextModelMissingError(TextModelError):
    """A model that is not in Elasticsearch."""

    code = "text_model_missing"


class TextModelIncompleteError(TextModelError):
    """A model whose upload is incomplete."""

    code = "text_model_incomplete"


class TextModelStoppedError(TextModelError):
    """A model that is stored in Elasticsearch, but not started."""

    code = "text_model_stopped"


class TextModelStartingError(TextModelError):
    """A model that is still starting."""

    code = "text_model_starting"


class TextModelFailedError(TextModelError):
    """A model that did not start, or that failed later."""

    code = "text_model_failed"


class TextModelMemoryError(TextModelError):
    """A model for which the machine learning nodes have too little memory."""

    code = "text_model_memory"


class TextModelBusyError(TextModelError):
    """A model whose queue of texts is full."""

    code = "text_model_busy"


class TextModelSlowError(TextModelError):
    """A model that did not answer in time."""

    code = "text_model_slow"


class TextModelInputError(TextModelError):
    """A text that the model refuses. It may accept others."""

    code = "text_model_input"


class ElasticsearchError(ImageSearchError):
    """Elasticsearch could not answer a request."""

    code = "elasticsearch_error"


class UnreachableError(ElasticsearchError):
    """Nothing answers at the address of Elasticsearch."""

    code = "elasticsearch_unreachable"


class SlowError(ElasticsearchError):
    """Elasticsearch did not answer in time."""

    code = "elasticsearch_slow"


class AuthenticationError(ElasticsearchError):
    """Elasticsearch does not accept the user and password, or the API key."""

    code = "elasticsearch_authentication"


class PermissionDeniedError(ElasticsearchError):
    """Elasticsearch knows the user, but the user lacks a privilege, or the licence does not allow the request."""

    code = "elasticsearch_permission"

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class CertificateError(ElasticsearchError):
    """The server's certificate could not be verified."""

    code = "elasticsearch_certificate"


class ServerVersionError(ElasticsearchError):
    """An Elasticsearch of a version that this client cannot talk to."""

    code = "elasticsearch_version"


class RequestError(ElasticsearchError):
    """Elasticsearch refused a request. `status` is the HTTP status, `kind` and `reason` are those of its error."""

    code = "elasticsearch_request"

    def __init__(self, message: str, *, status: int = 0, kind: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.reason = reason


class DiskFullError(RequestError):
    """Elasticsearch does not write, because its disk is full."""

    code = "elasticsearch_disk_full"


class PartialAnswerError(RequestError):
    """Some shards of the index did not answer, and the request needs all of them. It may succeed later."""

    code = "elasticsearch_partial"


class SnapshotLostError(PartialAnswerError):
    """What was opened to read the index page by page is lost. To read on is in vain; a new reading may succeed."""


class BlockedError(RequestError):
    """The index is closed, or a setting of the index or of the cluster forbids the request. No privilege helps."""

    code = "elasticsearch_blocked"


class IndexStateError(ImageSearchError):
    """The index is in a state that does not allow what was asked."""

    code = "index_unusable"


class IndexMissingError(IndexStateError):
    """Nothing has been indexed yet."""

    code = "index_missing"


class IndexForeignError(IndexStateError):
    """An index of that name exists, but this program did not make it."""

    code = "index_foreign"


class IndexTemplateError(IndexStateError):
    """An index template of the cluster, or somebody, gave the index settings with which it does not work."""

    code = "index_template"


class IndexBusyError(IndexStateError):
    """Another run writes into the index, on this machine or on another one.

    `part` says which part of the work that run has, such as "3/16". It is empty if the run has all of it.
    """

    code = "index_busy"

    def __init__(self, message: str, *, part: str = "") -> None:
        super().__init__(message)
        self.part = part


class IndexEmptyError(IndexStateError):
    """The index holds no photos."""

    code = "index_empty"


class ImageNotFoundError(IndexStateError):
    """The index has no document with that image_id."""

    code = "image_not_found"


class EmbeddedNodeError(ImageSearchError):
    """The embedded Elasticsearch node cannot be used."""

    code = "local_node_error"


class NodeDownloadError(EmbeddedNodeError):
    """The embedded node's jars cannot be fetched."""

    code = "local_node_download"


class NodePortError(EmbeddedNodeError):
    """The embedded node's port is taken."""

    code = "local_node_port"


class NodeMemoryError(EmbeddedNodeError):
    """There is not enough memory for the embedded node's heap."""

    code = "local_node_memory"


class NodeDataError(EmbeddedNodeError):
    """The embedded node's data was written by a newer version, or is damaged."""

    code = "local_node_data"


class NodeStartingError(EmbeddedNodeError):
    """The embedded node is just being started, by another request."""

    code = "local_node_starting"


class NodeStartError(EmbeddedNodeError):
    """The embedded node did not start, for another reason."""

    code = "local_node_start"
