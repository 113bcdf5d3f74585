"""The records that the modules pass to each other, and the aliases for arrays of embeddings."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float32]  # shape (dims,), unit length
Embeddings = NDArray[np.float32]  # shape (n, dims), each row of unit length
Place = tuple[float, float, float, float]  # a box: south, west, north, east, in degrees


MAX_IMAGE_ID_BYTES = 512  # Elasticsearch's limit for `_id`
ORIENTATIONS = ("landscape", "portrait", "square")
FORMAT = 5  # version of what a document holds. If a later version of ours stores more, it reads the photo anew
ETAG_SINCE = 5  # added `etag` and nothing else

_CONTENT_HASH = re.compile(r"[0-9a-f]{32}")
PROBE_TOLERANCE = 0.01  # bfloat16 and int8 change a number of a 512-dims unit vector by less, other weights by more


@dataclass(frozen=True, kw_only=True)
class ImageDocument:
    """What the index stores of one photo, besides its embedding."""

    image_id: str  # POSIX path relative to the corpus root
    width: int  # pixels, as shown (after EXIF orientation)
    height: int
    bytes: int
    mtime_ns: int
    content_hash: str  # hash of the file's bytes, hexadecimal
    ctime_ns: int = 0  # when the system last changed the file or what it notes of it; 0 if it does not say
    inode: int = 0  # the file's number on its drive; 0 if the drive has none, or none that lasts
    etag: str | None = None  # by which an object store names this content; None for files of folders
    sidecar_state: str | None = None  # differs after a change of the photo's sidecars; None without sidecars
    location: tuple[float, float] | None = None  # latitude, longitude in degrees
    altitude: float | None = None  # metres, negative below the sea
    taken: str | None = None  # ISO 8601, local time, as precise as it is known: from a year to a moment with its offset
    taken_by: str | None = None  # what says so: exif, xmp, iptc, png, sidecar, or name (of the file)
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    caption: str | None = None  # the metadata file's, else the photo's own
    title: str | None = None
    headline: str | None = None
    keywords: tuple[str, ...] = ()
    city: str | None = None
    country: str | None = None
    persons: tuple[str, ...] = ()
    rating: int | None = None  # -1 (rejected), 0 (without a rating), or 1 to 5
    label: str | None = None  # this, `table_caption` and `extra` come from a metadata file
    table_caption: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    preview: str | None = None  # a tiny WebP, base64
    fingerprint: str | None = None  # a tiny WebP, base64, by which near-duplicates are known; hexadecimal if older
    format: int = FORMAT  # FORMAT of the version that wrote this document

    @classmethod
    def of_checked(cls, values: Mapping[str, Any]) -> "ImageDocument":
        """Return the document with these values of fields. The values have to be of the right kinds.

        It is what the constructor makes. But that one sets each of the many fields of a frozen class by a call, which
        takes most of the time of reading a hit.
        """
        document = object.__new__(cls)
        vars(document).update(_DEFAULTS, extra={})
        vars(document).update(values)
        return document

    @property
    def orientation(self) -> str:
        """Return one of ORIENTATIONS. A photo is square if its sides differ by five percent at most."""
        if abs(self.width - self.height) <= 0.05 * max(self.width, self.height):
            return "square"
        return "landscape" if self.width > self.height else "portrait"

    def with_table_words_of(self, other: "ImageDocument") -> "ImageDocument":
        """Return the document with what a metadata file said of `other`; the caption here has to be the photo's own."""
        return replace(
            self,
            label=other.label,
            table_caption=other.table_caption,
            caption=other.table_caption or self.caption,
            extra=dict(other.extra),
        )


_DEFAULTS = {each.name: each.default for each in fields(ImageDocument) if each.default is not MISSING}


def is_content_hash(value: object) -> bool:
    """Return whether a value has the form of a `content_hash`. Only then may it become the name of a file."""
    return isinstance(value, str) and _CONTENT_HASH.fullmatch(value) is not None


def holds_all(format_: int, *, etag: str | None) -> bool:
    """Return whether a document of this format holds all that FORMAT does for a file with this etag.

    A file without an etag has nothing that the format ETAG_SINCE added.
    """
    return format_ == FORMAT or (etag is None and format_ == ETAG_SINCE - 1 and FORMAT == ETAG_SINCE)


def is_image_id(value: object) -> bool:
    """Return whether a value can be the `image_id` of a photo: a path that stays below the corpus root."""
    if not isinstance(value, str) or not value or value.startswith("/") or "\0" in value:
        return False
    return ".." not in value.split("/") and len(value.encode(errors="replace")) <= MAX_IMAGE_ID_BYTES


def is_model_name(value: object) -> bool:
    """Return whether a value can be a `model_id`: the name of a folder, or ORGANISATION/NAME of a model hub."""
    if not isinstance(value, str) or value.startswith("~") or "\0" in value:
        return False
    parts = value.split("/")
    return len(parts) <= 2 and not {"", ".", ".."} & set(parts)


@dataclass(frozen=True, kw_only=True)
class PhotoMetadata:
    """What a metadata file says of one photo. An empty value says nothing."""

    label: str | None = None
    caption: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    def over(self, earlier: "PhotoMetadata") -> "PhotoMetadata":
        """Return all that two tables say: this one, and an earlier one for what this one says nothing of."""
        extra = {**earlier.extra, **{column: value for column, value in self.extra.items() if value}}
        return PhotoMetadata(label=self.label or earlier.label, caption=self.caption or earlier.caption, extra=extra)

    def merged_into(self, document: ImageDocument) -> ImageDocument:
        """Return the document with this metadata. What this says nothing of stays as an earlier table said it.

        A table's caption stands in the place of the photo's own.
        """
        earlier = PhotoMetadata(label=document.label, caption=document.table_caption, extra=document.extra)
        said = self.over(earlier)
        caption = said.caption or document.caption
        return replace(document, label=said.label, table_caption=said.caption, caption=caption, extra=said.extra)


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The model that an index was built with. The index keeps it in its mapping's `_meta`."""

    model_id: str
    dims: int
    preprocessing: str  # name and version of the steps from file to model input
    normalized: bool = True
    # The first numbers of the embedding of a fixed image. They differ if two models have the same name.
    probe: tuple[float, ...] = ()

    @property
    def decoding(self) -> str:
        """The name of the step from file to RGB image, the first one of `preprocessing`."""
        return self.preprocessing.partition("+")[0]

    def makes_same_embeddings_as(self, other: "ModelInfo") -> bool:
        """Return whether embeddings of both models can be compared. The probes may differ by PROBE_TOLERANCE."""
        named_alike = (self.model_id, self.dims, self.preprocessing) == (
            other.model_id,
            other.dims,
            other.preprocessing,
        )
        if not named_alike or len(self.probe) != len(other.probe):
            return False
        return np.allclose(self.probe, other.probe, atol=PROBE_TOLERANCE)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """The state of a file when it was indexed. It shows whether the file has changed since."""

    bytes: int
    mtime_ns: int
    content_hash: str
    format: int = FORMAT
    ctime_ns: int = 0
    inode: int = 0
    sidecar_state: str | None = None
    etag: str | None = None

    def is_same_file(self, other: "FileState") -> bool:
        """Return whether a file in the state `other` is taken to have the same content, without regard to the hash.

        The size and both times have to be the same, and so has the inode: programs that edit photos may set `mtime_ns`
        back to what it was. A `ctime_ns` or an inode of 0 is not known, and not compared. A change of a sidecar is one
        of the photo. So is another etag: an object store tells times in whole seconds.
        """
        compared = ("bytes", "mtime_ns", "sidecar_state", "etag")
        if any(getattr(self, name) != getattr(other, name) for name in compared):
            return False
        pairs = ((self.ctime_ns, other.ctime_ns), (self.inode, other.inode))
        return all(0 in pair or pair[0] == pair[1] for pair in pairs)


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A value, and the number of photos that have it."""

    value: str
    count: int


@dataclass(frozen=True, kw_only=True)
class PlaceBucket:
    """A place, the number of photos taken around it, and the box that they lie in."""

    lat: float  # degrees
    lon: float
    count: int
    box: Place


@dataclass(frozen=True, kw_only=True)
class Facets:
    """The number of photos of each kind. Those count that pass the filters of all *other* kinds."""

    values: Mapping[str, tuple[Bucket, ...]] = field(default_factory=dict)  # by the name of a keyword facet
    taken: tuple[Bucket, ...] = ()  # by year, month or day; `value` is the first day of each
    taken_step: str = ""  # year, month or day
    place: tuple[PlaceBucket, ...] = ()
    columns: Mapping[str, tuple[Bucket, ...]] = field(default_factory=dict)


JSON = dict[str, Any]  # a request or response body
