"""The records that pass between the modules, and the one alias for arrays of embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float32]  # shape (dims,), unit length
Embeddings = NDArray[np.float32]  # shape (n, dims), each row of unit length
Place = tuple[float, float, float, float]  # a box: south, west, north, east, in degrees


MAX_IMAGE_ID_BYTES = 512  # Elasticsearch's limit for `_id`
ORIENTATIONS = ("landscape", "portrait", "square")
FORMAT = 2  # of documents: raised when a later version stores more of a photo, which is then read anew

PROBE_TOLERANCE = 0.01  # bfloat16 and int8 move a number of a 512-dims unit vector by less, other weights by more


@dataclass(frozen=True, kw_only=True)
class ImageDocument:
    """One indexed photo: what is stored of it besides its embedding."""

    image_id: str  # POSIX path relative to the corpus root
    width: int  # pixels, as shown (after EXIF orientation)
    height: int
    bytes: int
    mtime_ns: int
    content_hash: str  # of the file's bytes, hexadecimal
    location: tuple[float, float] | None = None  # latitude, longitude in degrees
    taken: str | None = None  # ISO 8601, local time; with its distance from UTC where known
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    caption: str | None = None
    keywords: tuple[str, ...] = ()
    label: str | None = None  # this and `extra` come from a metadata file
    extra: Mapping[str, str] = field(default_factory=dict)
    preview: str | None = None  # a tiny WebP, base64
    fingerprint: str | None = None  # hexadecimal, nearly the same for near-duplicates
    format: int = FORMAT  # FORMAT of the version that wrote it

    @property
    def orientation(self) -> str:
        """Return one of ORIENTATIONS; square within five percent."""
        if abs(self.width - self.height) <= 0.05 * max(self.width, self.height):
            return "square"
        return "landscape" if self.width > self.height else "portrait"


@dataclass(frozen=True, kw_only=True)
class PhotoMetadata:
    """What a metadata file says of one photo."""

    label: str | None = None
    caption: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    def merged_into(self, document: ImageDocument) -> ImageDocument:
        """The document with this added; a caption here goes before the photo's own."""
        return replace(document, label=self.label, caption=self.caption or document.caption, extra=dict(self.extra))


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What an index was built with; kept in its mapping's `_meta`."""

    model_id: str
    dims: int
    preprocessing: str  # name and version of the steps from file to model input
    normalized: bool = True
    # The first numbers of a fixed image's embedding: tells two models apart that go by the same name.
    probe: tuple[float, ...] = ()

    def makes_same_embeddings_as(self, other: "ModelInfo") -> bool:
        """Whether embeddings of the two can be compared; the probe may differ by what number formats cost."""
        named_alike = (self.model_id, self.dims, self.preprocessing) == (
            other.model_id,
            other.dims,
            other.preprocessing,
        )
        return named_alike and np.allclose(self.probe, other.probe, atol=PROBE_TOLERANCE)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """What tells whether a file has changed since it was indexed."""

    bytes: int
    mtime_ns: int
    content_hash: str
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One found document. `similarity` is the raw cosine in [-1, 1], `score` is (1 + cosine) / 2."""

    rank: int  # from 1
    score: float | None  # None where nothing was asked for, only filtered
    document: ImageDocument
    by_words: bool = False  # words of the text are in the photo's name, caption or label, which raised its rank
    matches: bool | None = None  # whether it really does, where that was asked for and can be told
    folded: tuple["Hit", ...] = ()  # its near-duplicates, where they were to be folded under it

    @property
    def image_id(self) -> str:
        """The hit's image_id."""
        return self.document.image_id

    @property
    def similarity(self) -> float | None:
        """Raw cosine between query and photo, in [-1, 1]; None where nothing was asked for."""
        return None if self.score is None else 2 * self.score - 1


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """So many photos have one value."""

    value: str
    count: int


@dataclass(frozen=True, kw_only=True)
class PlaceBucket:
    """So many photos were taken around one place, and the box they lie in."""

    lat: float  # degrees
    lon: float
    count: int
    box: Place


@dataclass(frozen=True, kw_only=True)
class Facets:
    """How many photos of each kind there are, of those that the filters of all *other* kinds let through."""

    values: Mapping[str, tuple[Bucket, ...]] = field(default_factory=dict)  # by the name of a keyword facet
    taken: tuple[Bucket, ...] = ()  # by year, month or day, whichever fits; `value` is the day on which each begins
    taken_step: str = ""  # year, month or day
    place: tuple[PlaceBucket, ...] = ()
    columns: Mapping[str, tuple[Bucket, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The hits of one search, best first, and how they came about."""

    hits: tuple[Hit, ...]
    total: int  # photos in the index
    matching: int  # photos that pass the filters: all, if there are none
    model_id: str
    text_encoder: str | None = None  # who encoded the text: elasticsearch or local; None where there was none
    text_model_id: str | None = None  # of the text model in Elasticsearch, where that encoded
    note: str | None = None  # for the user: what was not as it should be, and what was done instead
    took_ms: Mapping[str, float] = field(default_factory=dict)  # stage -> milliseconds: encode, search, total
    facets: Facets | None = None  # where they were asked for
    listed: int | None = None  # hits in all, where that is not `matching`: by date come only the nearest that match

    @property
    def relevant(self) -> int | None:
        """How many of the first hits really match, up to the last that does; None where that cannot be told."""
        if not self.hits or any(hit.matches is None for hit in self.hits):
            return None
        return max((place for place, hit in enumerate(self.hits, start=1) if hit.matches), default=0)


JSON = dict[str, Any]  # a request or response body
