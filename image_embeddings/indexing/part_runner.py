"""Carries out a part of an indexing run: files go in, documents go into the index, and a fact comes out for each file.

A run on one machine has one part. Spark's executors and the processes of an array job carry out a part each.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from image_embeddings.documents import ImageDocument
from image_embeddings.encoders import Encoder
from image_embeddings.errors import ImageNotFoundError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.retries import patiently
from image_embeddings.indexing.map_ahead import make_documents_ahead
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.part import PhotoReader
from image_embeddings.indexing.records import DocumentToWrite, KnownEmbedding, StoredPhoto, know_no_embedding
from image_embeddings.indexing.report import Fact, IndexOptions
from image_embeddings.indexing.writer import Writer
from image_embeddings.photos.decoders import Decoders
from image_embeddings.photos.photo import PhotoBytes
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.source import PhotoFile, PhotoSource


@dataclass(frozen=True, kw_only=True)
class PartRunner:
    """What carries out parts needs beside their files."""

    source: PhotoSource
    index: ImageIndex  # the one that is written to, by its own name
    encoder: Encoder
    thumbnails: Thumbnails
    options: IndexOptions
    decoders: Decoders
    decoding: str  # the name of the decoding that the index was made with
    reread: bool = False
    indexed_hashes: Container[str] = frozenset()  # content hashes of the photos that were indexed before the run
    metadata: MetadataChanges = field(default_factory=MetadataChanges)
    known_embedding: KnownEmbedding = know_no_embedding  # as in `PhotoReader`

    def run(
        self,
        files: Iterable[PhotoFile],
        *,
        changed: Container[str],
        before_write: Callable[[], object] = lambda: None,
        note: Callable[[Fact], object],
        encoded: Callable[[int], object] = lambda photos: None,
    ) -> Iterator[Fact]:
        """Write the documents of the photos in `files`; yield the fact of each as soon as it is written.

        `changed` are the image_ids that are indexed in an older version. Photos that are not written go to `note`.
        `before_write` is called before each request that writes, and ends the part if it raises. `encoded` is called
        with the number of photos that wait to be written.

        Raises:
            ElasticsearchError: it could not be written to, for PATIENCE_SECONDS; what was written before stays.
            DataDirError, StoreError: a thumbnail cannot be written.
            ModelError: the encoder fails.
        """
        reader = PhotoReader(
            source=self.source,
            preprocess=self.encoder.preprocess,
            thumbnails=self.thumbnails,
            options=self.options,
            find_stored=partial(self._find_stored, changed=changed),
            known_embedding=self.known_embedding,
            reread=self.reread,
            decoding=self.decoding,
            decoders=self.decoders,
        )
        batches = make_documents_ahead(files, reader=reader, encoder=self.encoder, options=self.options, note=note)
        merge = self.metadata.merge_into

        def documents() -> Iterator[DocumentToWrite]:
            for batch in batches:
                encoded(len(batch))
                for item in batch:
                    yield replace(item, document=merge(item.document))

        yield from Writer(self.index, before_write=before_write, options=self.options).write_all(documents())

    def _find_stored(self, photo: PhotoBytes, *, changed: Container[str]) -> StoredPhoto:
        """Return the stored data of a photo's name and bytes. The index is asked only if it is known to hold some."""
        documents = self.index.documents
        older = self._get_older(photo.image_id) if photo.image_id in changed else None
        copy = patiently(documents.copy_of, photo.content_hash) if photo.content_hash in self.indexed_hashes else None
        if copy and older and older.content_hash == photo.content_hash:
            copy = older, copy[1]  # the document of the copy may have another label
        return StoredPhoto(older=older, same_bytes=copy)

    def _get_older(self, image_id: str) -> ImageDocument | None:
        """Return the document of an older version of a photo, or None if another run has removed it meanwhile."""
        with suppress(ImageNotFoundError):
            return patiently(self.index.documents.get, image_id)
        return None
