"""One part of an indexing run: files go in; documents, embeddings and skipped files come out.

This module does not use the index or an executor. One function returns what is stored already. Other functions map a
step over items: one after another, or ahead by threads. All records that go in and come out can be pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from image_embeddings.documents import FORMAT, Embedding, ImageDocument
from image_embeddings.encoders import Encoder
from image_embeddings.errors import CorpusError, ImageError
from image_embeddings.indexing.report import IndexOptions, Outcome
from image_embeddings.photos.decoding import DECODING
from image_embeddings.photos.photo import Photo, PhotoBytes, decode_photo
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources import photo_folder
from image_embeddings.sources.photo_folder import PhotoFile, Skipped

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class PhotoToEncode:
    """A photo that was read and preprocessed, but is not encoded yet."""

    document: ImageDocument
    pixels: Any  # as the encoder wants them
    outcome: Outcome
    damage: str = ""  # as in `Photo`


@dataclass(frozen=True, kw_only=True)
class DocumentToWrite:
    """A document that is ready to be written."""

    document: ImageDocument
    embedding: Embedding
    outcome: Outcome
    damage: str = ""  # as in `Photo`


@dataclass(frozen=True, kw_only=True)
class StoredPhoto:
    """The stored data that belongs to a file."""

    older: ImageDocument | None = None  # the document of the same image_id, of the same bytes or others
    same_bytes: tuple[ImageDocument, Embedding] | None = None  # of the same image_id or another


def find_nothing(photo: PhotoBytes) -> StoredPhoto:
    """Return an empty StoredPhoto, for an index in which every photo is new."""
    return StoredPhoto()


class MapFunction(Protocol):
    """Calls a function with each item; the results keep the order of the items."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Return the results."""


def map_one_by_one(function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
    """Yield the results; each is computed when it is asked for."""
    return map(function, items)


def make_documents(
    files: Iterable[PhotoFile],
    *,
    reader: PhotoReader,
    encoder: Encoder,
    batch_size: int,
    skip: Callable[[Skipped], object],
    map_reads: MapFunction = map_one_by_one,
    map_encodes: MapFunction = map_one_by_one,
) -> Iterator[list[DocumentToWrite]]:
    """Yield the documents of the photos in `files`, in their order, in batches of `batch_size`.

    A file that cannot be read or decoded goes to `skip`, and to no batch.

    Raises:
        DataDirError: a thumbnail cannot be written.
        ModelError: the encoder fails.
    """
    batches = _gather_batches(map_reads(reader.read, files), size=batch_size, skip=skip)
    yield from map_encodes(partial(encode_batch, encoder=encoder), batches)


@dataclass(frozen=True, kw_only=True)
class PhotoReader:
    """Reads photos and makes their thumbnails, one photo a call; several threads may use it."""

    preprocess: Callable[[Any], Any]  # the encoder's
    thumbnails: Thumbnails
    options: IndexOptions
    find_stored: Callable[[PhotoBytes], StoredPhoto] = find_nothing
    decoding: str = DECODING  # the name of the decoding that the index was made with

    def read(self, file: PhotoFile) -> PhotoToEncode | DocumentToWrite | Skipped:
        """Return the photo in `file` to be encoded, or its document if the embedding of its bytes is stored already.

        The file is read once, so hash, size, place and picture belong together.
        """
        try:
            content = photo_folder.load(file)
            stored = self.find_stored(content)
            if stored.same_bytes and stored.same_bytes[0].format == FORMAT:
                return self._reuse(content, *stored.same_bytes)
            photo = decode_photo(content, max_pixels=self.options.max_pixels, with_location=self.options.with_location)
        except (CorpusError, ImageError) as error:
            return photo_folder.skipped(file, error)
        self.thumbnails.make(photo.image, content_hash=content.content_hash)
        if stored.same_bytes:
            return self._complete(photo, *stored.same_bytes)
        if stored.older:
            return self._replace(photo, stored.older)
        return self._add(photo)

    def _reuse(self, content: PhotoBytes, document: ImageDocument, embedding: Embedding) -> DocumentToWrite:
        """Return the stored document of the same bytes, with the name and time of this file."""
        location = document.location if self.options.with_location else None
        renamed = replace(document, image_id=content.image_id, mtime_ns=content.mtime_ns, location=location)
        return DocumentToWrite(document=renamed, embedding=embedding, outcome=Outcome.REUSED)

    def _complete(self, photo: Photo, stored: ImageDocument, embedding: Embedding) -> DocumentToWrite:
        """Return all data that this version stores about a photo, if an older version stored less about the same bytes.

        The data from a metadata file stays, and so does the embedding.
        """
        caption = stored.caption or photo.document.caption
        document = replace(photo.document, label=stored.label, extra=stored.extra, caption=caption)
        is_unchanged = (document.image_id, document.mtime_ns) == (stored.image_id, stored.mtime_ns)
        outcome = Outcome.COMPLETED if is_unchanged else Outcome.REUSED
        return DocumentToWrite(document=document, embedding=embedding, outcome=outcome, damage=photo.damage)

    def _replace(self, photo: Photo, older: ImageDocument) -> PhotoToEncode:
        """Return a photo that has changed; the data from a metadata file stays."""
        document = replace(photo.document, label=older.label, extra=older.extra)
        return self._to_encode(photo, document, outcome=Outcome.CHANGED)

    def _add(self, photo: Photo) -> PhotoToEncode:
        """Return a photo that is new."""
        return self._to_encode(photo, photo.document, outcome=Outcome.NEW)

    def _to_encode(self, photo: Photo, document: ImageDocument, *, outcome: Outcome) -> PhotoToEncode:
        image = photo.image_for(self.decoding)
        return PhotoToEncode(document=document, pixels=self.preprocess(image), outcome=outcome, damage=photo.damage)


def encode_batch(batch: Sequence[PhotoToEncode | DocumentToWrite], *, encoder: Encoder) -> list[DocumentToWrite]:
    """Return the documents of a batch, in its order, with one call of the encoder for those that lack an embedding."""
    to_encode = [item for item in batch if isinstance(item, PhotoToEncode)]
    embeddings = iter(encoder.encode_preprocessed([photo.pixels for photo in to_encode]))
    return [
        item
        if isinstance(item, DocumentToWrite)
        else DocumentToWrite(
            document=item.document, embedding=next(embeddings), outcome=item.outcome, damage=item.damage
        )
        for item in batch
    ]


def _gather_batches(
    results: Iterable[PhotoToEncode | DocumentToWrite | Skipped], *, size: int, skip: Callable[[Skipped], object]
) -> Iterator[list[PhotoToEncode | DocumentToWrite]]:
    batch: list[PhotoToEncode | DocumentToWrite] = []
    for result in results:
        if isinstance(result, Skipped):
            skip(result)
            continue
        batch.append(result)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
