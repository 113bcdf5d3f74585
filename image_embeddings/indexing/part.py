"""One part of an indexing run: files go in; documents, embeddings and skipped files come out.

This module does not use the index or an executor. One function returns what is stored already. Other functions map a
step over items: one after another, or ahead by threads. All records that go in and come out can be pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from image_embeddings.documents import Embedding, ImageDocument
from image_embeddings.encoders import Encoder
from image_embeddings.errors import CorpusError, ImageError, SourceUnreachableError
from image_embeddings.indexing.records import (
    DocumentToWrite,
    KnownEmbedding,
    PhotoToEncode,
    StoredPhoto,
    find_nothing,
    know_no_embedding,
)
from image_embeddings.indexing.report import Fact, IndexOptions, Outcome, PhotoOutcome
from image_embeddings.photos.decoders import Decoders, indexing_decoders
from image_embeddings.photos.decoding import DECODING, UNMANAGED_DECODING
from image_embeddings.photos.photo import Photo, PhotoBytes, rename
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.skipped import Skipped, skip_for
from image_embeddings.sources.source import PhotoFile, PhotoSource

TABLE_CAPTION_SINCE = 3  # FORMAT from which `table_caption` is stored

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    note: Callable[[Fact], object],
    map_reads: MapFunction = map_one_by_one,
    map_encodes: MapFunction = map_one_by_one,
) -> Iterator[list[DocumentToWrite]]:
    """Yield the documents of the photos in `files`, in their order, in batches of `batch_size`.

    A file that cannot be read or decoded, or of which nothing is to be written, goes to `note` and to no batch.

    Raises:
        DataDirError, StoreError: a thumbnail cannot be written.
        ModelError: the encoder fails.
    """
    batches = _gather_batches(map_reads(reader.read, files), size=batch_size, note=note)
    yield from map_encodes(partial(encode_batch, encoder=encoder), batches)


@dataclass(frozen=True, kw_only=True)
class PhotoReader:
    """Reads photos and makes their thumbnails, one photo a call; several threads may use it.

    The `decoders` decode the photos and make the thumbnails, in processes of their own.
    """

    source: PhotoSource
    preprocess: Callable[[Any], Any]  # the encoder's
    thumbnails: Thumbnails
    options: IndexOptions
    find_stored: Callable[[PhotoBytes], StoredPhoto] = find_nothing
    known_embedding: KnownEmbedding = know_no_embedding  # of a new photo
    reread: bool = False  # whether to read again what photos say of themselves, if the bytes are stored
    decoding: str = DECODING  # the name of the decoding that the index was made with
    decoders: Decoders = field(default_factory=partial(indexing_decoders, 1))

    def read(self, file: PhotoFile) -> PhotoToEncode | DocumentToWrite | Fact:
        """Return the photo in `file` to be encoded, or its document if the embedding of its bytes is stored already.

        If nothing is to be written, return what became of the photo. The file is read once, so hash, size, place and
        picture belong together.
        """
        try:
            content = self.source.read(file)
            stored = self.find_stored(content)
            if stored.same_bytes and not self.reread and stored.is_enough(content):
                return self._reuse(content, stored, *stored.same_bytes)
            photo = self._decode(content)
        except SourceUnreachableError:  # no other photo could be read either
            raise
        except (CorpusError, ImageError) as error:
            return skip_for(error, image_id=file.image_id)
        if stored.same_bytes:
            return self._complete(photo, stored, *stored.same_bytes)
        if stored.older:
            return self._replace(photo, stored.older)
        return self._add(photo)

    def _decode(self, content: PhotoBytes) -> Photo:
        photo = self.decoders.decode_photo(
            content,
            max_pixels=self.options.max_pixels,
            with_location=self.options.with_location,
            keep_unmanaged=self.decoding == UNMANAGED_DECODING,
            thumbnails=self.thumbnails.local,
        )
        self.thumbnails.share(photo.document.content_hash)
        return photo

    def _reuse(
        self, content: PhotoBytes, stored: StoredPhoto, same_bytes: ImageDocument, embedding: Embedding
    ) -> DocumentToWrite | Fact:
        """Return the stored document of the same bytes, with the name and the state of this file."""
        document = replace(
            rename(same_bytes, image_id=content.image_id),
            mtime_ns=content.mtime_ns,
            ctime_ns=content.ctime_ns,
            inode=content.inode,
            etag=content.etag,
            location=same_bytes.location if self.options.with_location else None,
        )
        return _write(document.with_table_words_of(stored.older or same_bytes), same_bytes, embedding)

    def _complete(
        self, photo: Photo, stored: StoredPhoto, same_bytes: ImageDocument, embedding: Embedding
    ) -> DocumentToWrite | Fact:
        """Return all data that this version finds in a photo, with the stored embedding of the same bytes.

        What a metadata file said stays.
        """
        words = stored.older or same_bytes
        if words.content_hash == photo.document.content_hash:
            words = _with_table_caption(words, own=photo.document.caption)
        return _write(photo.document.with_table_words_of(words), same_bytes, embedding, photo=photo)

    def _replace(self, photo: Photo, older: ImageDocument) -> PhotoToEncode:
        """Return a photo that has changed; what a metadata file said stays."""
        document = photo.document.with_table_words_of(older)
        return self._to_encode(photo, document, outcome=Outcome.CHANGED)

    def _add(self, photo: Photo) -> PhotoToEncode | DocumentToWrite:
        """Return a photo that is new."""
        embedding = self.known_embedding(photo.document)
        if embedding is not None:
            return DocumentToWrite(
                document=photo.document,
                embedding=embedding,
                outcome=Outcome.TAKEN,
                damage=photo.damage,
                sidecar_faults=photo.sidecar_faults,
            )
        return self._to_encode(photo, photo.document, outcome=Outcome.NEW)

    def _to_encode(self, photo: Photo, document: ImageDocument, *, outcome: Outcome) -> PhotoToEncode:
        image = photo.image_for(self.decoding)
        return PhotoToEncode(
            document=document,
            pixels=self.preprocess(image),
            outcome=outcome,
            damage=photo.damage,
            sidecar_faults=photo.sidecar_faults,
        )


def _write(
    document: ImageDocument, before: ImageDocument, embedding: Embedding, *, photo: Photo | None = None
) -> DocumentToWrite | Fact:
    """Return a document to be written with the stored embedding of its bytes, or the fact that nothing is to do.

    `before` is the stored document of these bytes, of the same file or another. `photo` is what was read anew.
    """
    faults = photo.sidecar_faults if photo else ()
    is_same_file = (document.image_id, document.mtime_ns) == (before.image_id, before.mtime_ns)
    if is_same_file and document.ctime_ns == before.ctime_ns and document.inode != before.inode:
        # The same content has another inode though nobody has touched the file: this drive's numbers do not last.
        document = replace(document, inode=0)
    if document == before:
        return PhotoOutcome(
            image_id=document.image_id,
            outcome=Outcome.UNCHANGED,
            content_hash=document.content_hash,
            sidecar_faults=faults,
        )
    if not is_same_file:
        outcome = Outcome.REUSED
    elif _without_state(document) == _without_state(before):
        outcome = Outcome.UNCHANGED
    else:
        outcome = Outcome.COMPLETED
    return DocumentToWrite(
        document=document,
        embedding=embedding,
        outcome=outcome,
        damage=photo.damage if photo else "",
        sidecar_faults=faults,
    )


def _without_state(document: ImageDocument) -> ImageDocument:
    """Return the document without what only shows whether the file or its sidecars may have changed."""
    return replace(document, ctime_ns=0, inode=0, etag=None, sidecar_state=None)


def _with_table_caption(document: ImageDocument, *, own: str | None) -> ImageDocument:
    """Return the document with the caption of a metadata file by itself, if an older version stored it.

    That version did not store whose caption it was. It counts as the file's if the photo has another one, or none, and
    if the file said something else of it too, or the photo has none.
    """
    caption = document.caption
    if document.format >= TABLE_CAPTION_SINCE or caption == own or (own and not (document.label or document.extra)):
        return document
    return replace(document, table_caption=caption)


def encode_batch(batch: Sequence[PhotoToEncode | DocumentToWrite], *, encoder: Encoder) -> list[DocumentToWrite]:
    """Return the documents of a batch, in its order, with one call of the encoder for those that lack an embedding."""
    to_encode = [item for item in batch if isinstance(item, PhotoToEncode)]
    embeddings = iter(encoder.encode_preprocessed([photo.pixels for photo in to_encode]))
    return [
        item
        if isinstance(item, DocumentToWrite)
        else DocumentToWrite(
            document=item.document,
            embedding=next(embeddings),
            outcome=item.outcome,
            damage=item.damage,
            sidecar_faults=item.sidecar_faults,
        )
        for item in batch
    ]


def _gather_batches(
    results: Iterable[PhotoToEncode | DocumentToWrite | Fact], *, size: int, note: Callable[[Fact], object]
) -> Iterator[list[PhotoToEncode | DocumentToWrite]]:
    batch: list[PhotoToEncode | DocumentToWrite] = []
    for result in results:
        if isinstance(result, (Skipped, PhotoOutcome)):
            note(result)
            continue
        batch.append(result)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
