"""The records that go from one step of an indexing run to the next. All of them can be pickled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from image_embeddings.documents import Embedding, ImageDocument, holds_all
from image_embeddings.indexing.report import Outcome
from image_embeddings.photos.photo import PhotoBytes
from image_embeddings.photos.sidecars import SidecarFault


@dataclass(frozen=True, kw_only=True)
class PhotoToEncode:
    """A photo that was read and preprocessed, but is not encoded yet."""

    document: ImageDocument
    pixels: Any  # as the encoder wants them
    outcome: Outcome
    damage: str = ""  # this and `sidecar_faults` as in `Photo`
    sidecar_faults: tuple[SidecarFault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DocumentToWrite:
    """A document that is ready to be written."""

    document: ImageDocument
    embedding: Embedding
    outcome: Outcome
    damage: str = ""  # this and `sidecar_faults` as in `Photo`
    sidecar_faults: tuple[SidecarFault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoredPhoto:
    """The stored data that belongs to a file."""

    older: ImageDocument | None = None  # the document of the same image_id, of the same bytes or others
    same_bytes: tuple[ImageDocument, Embedding] | None = None  # of the same image_id or another

    def is_enough(self, photo: PhotoBytes) -> bool:
        """Return whether the document of the same bytes has all that this version finds in them, and in its sidecars.

        The own caption of the photo is not in it if a metadata file gave another one. It is missed only if the file has
        a document of its own, from which it takes what the metadata file said.
        """
        if not self.same_bytes or not holds_all(self.same_bytes[0].format, etag=photo.etag):
            return False
        document, _ = self.same_bytes
        if document.sidecar_state != photo.sidecar_state or photo.sidecar_faults:
            return False
        return document.table_caption is None or self.older in (None, document)


def find_nothing(photo: PhotoBytes) -> StoredPhoto:
    """Return an empty StoredPhoto, for an index in which every photo is new."""
    return StoredPhoto()


KnownEmbedding = Callable[[ImageDocument], Embedding | None]  # the embedding of a new photo, if that is known already


def know_no_embedding(document: ImageDocument) -> Embedding | None:
    """Return None: every new photo is to be encoded."""
    return None
