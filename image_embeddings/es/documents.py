"""Writing, reading, changing and removing the documents of an index, one for each photo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from image_embeddings.documents import (
    FORMAT,
    JSON,
    MAX_IMAGE_ID_BYTES,
    Embedding,
    Embeddings,
    FileState,
    ImageDocument,
    PhotoMetadata,
    is_image_id,
)
from image_embeddings.errors import (
    ImageNotFoundError,
    IndexForeignError,
    IndexMissingError,
    PartialAnswerError,
    RequestError,
    SnapshotLostError,
    shorten,
)
from image_embeddings.es import mapping, queries
from image_embeddings.es.collections import NONE, Collections, collections_of, collections_search
from image_embeddings.es.document_source import document_of, read_hits
from image_embeddings.es.fence import Fence
from image_embeddings.es.index_client import IndexClient
from image_embeddings.es.refusals import concerns_all_documents

WRITES_PACKED_SINCE = (9, 3)
_NO_IMAGE_ID = "/"  # no photo has it, because an image_id is a relative path
_CONFLICT = 409  # the status of a document that a later run has written


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A document that Elasticsearch refused."""

    image_id: str
    error: RequestError

    @property
    def reason(self) -> str:
        """Return a sentence that says why it was refused."""
        return f"Elasticsearch refused it: {self.error.reason}"


class Documents:
    """The documents of one index. Every method raises an ElasticsearchError, or IndexMissingError, if it fails.

    With a `fence`, what is written too late changes nothing: IndexMissingError is raised if the index was removed, and
    a document that a later run has written counts as written.
    """

    def __init__(self, client: IndexClient, *, fence: Fence | None = None) -> None:
        self._client = client
        self._fence = fence

    # Writing. Each method yields what Elasticsearch refused. It writes while the caller iterates: iterate to the end.

    def add(self, documents: Iterable[tuple[ImageDocument, Embedding]], *, chunk_size: int = 500) -> Iterator[Rejected]:
        """Write documents with their embeddings, shape (dims,). Each replaces the one with the same image_id.

        Yield the documents that were refused.
        """
        version = self._fence.version if self._fence else {}
        actions = (
            {
                "_op_type": "index",
                "_id": document.image_id,
                **version,
                **mapping.document_body(document, vector=self._vector(embedding)),
            }
            for document, embedding in documents
        )
        yield from self._bulk(actions, chunk_size=chunk_size)

    def describe(
        self,
        metadata: Mapping[str, PhotoMetadata],
        *,
        chunk_size: int = 500,
        changed: Callable[[str], object] = lambda image_id: None,
    ) -> Iterator[Rejected]:
        """Set label, caption and further columns of indexed photos, by image_id. An empty value changes nothing.

        The rows are merged with what earlier tables said, because derived fields are made of all of it. Call `changed`
        with the image_id of each photo whose document has changed. Yield what was refused.
        """
        yield from self._bulk(self._descriptions(metadata, chunk_size), chunk_size=chunk_size, changed=changed)

    def _descriptions(self, metadata: Mapping[str, PhotoMetadata], chunk_size: int) -> Iterator[JSON]:
        rows = iter(metadata.items())
        while chunk := dict(islice(rows, chunk_size)):
            earlier = self._earlier_metadata(list(chunk))
            for image_id, row in chunk.items():
                body = mapping.metadata_body(row.over(earlier.get(image_id, PhotoMetadata())))
                yield {"_op_type": "update", "_id": image_id, "doc": body}

    def _earlier_metadata(self, image_ids: list[str]) -> dict[str, PhotoMetadata]:
        """Return what earlier tables said of those of these photos that are in the index."""
        items = self._client.get_many(image_ids, source_includes=list(mapping.TABLE_FIELDS))
        return {item["_id"]: mapping.metadata_of(item["_source"]) for item in items if item.get("found")}

    def remove(self, image_ids: Iterable[str], *, chunk_size: int = 500) -> Iterator[Rejected]:
        """Delete documents and yield those that could not be deleted. One that does not exist counts as deleted."""
        actions = ({"_op_type": "delete", "_id": image_id} for image_id in image_ids)
        yield from self._bulk(actions, chunk_size=chunk_size)

    def check_writable(self) -> None:
        """Return if Elasticsearch takes documents for the index. It is asked to delete one that does not exist.

        Raise the error with the reason if it does not.
        """
        for rejected in self.remove([_NO_IMAGE_ID]):
            raise rejected.error

    def _bulk(
        self,
        actions: Iterable[JSON],
        *,
        chunk_size: int,
        changed: Callable[[str], object] = lambda image_id: None,
    ) -> Iterator[Rejected]:
        from elasticsearch import helpers

        place: JSON = {"index": self._client.name}
        if self._fence:
            place = {"index": self._fence.alias, "require_alias": True}
        with self._client.errors():
            for ok, item in helpers.streaming_bulk(
                self._client.writer,
                actions,
                chunk_size=chunk_size,
                raise_on_error=False,
                **place,
            ):
                ((operation, result),) = item.items()
                if self._fence and operation == "index" and result["status"] == _CONFLICT:
                    continue
                if not ok and result.get("result") != "not_found":
                    error = self._client.error_of_item(result["status"], result["error"])
                    if self._fence and isinstance(error, RequestError) and error.kind == "index_not_found_exception":
                        raise IndexMissingError(
                            f"The index '{self._client.name}' was removed or replaced by another run. Run this one "
                            "again if its photos are to be indexed."
                        )
                    if not isinstance(error, RequestError) or concerns_all_documents(error):
                        raise error
                    yield Rejected(image_id=result["_id"], error=error)
                elif result.get("result") == "updated":  # and not "noop"
                    changed(result["_id"])

    def _vector(self, embedding: Embedding) -> Any:
        """Return an embedding in the shortest form that the server reads."""
        from elasticsearch import helpers

        if self._client.cluster.server_version() >= WRITES_PACKED_SINCE:
            return helpers.pack_dense_vector(embedding)
        return embedding.tolist()

    # Reading all photos, or many

    def file_states(self, *, with_format: bool = False, page_size: int = 10_000) -> dict[str, FileState]:
        """Return the states that `read_file_states` yields, by image_id."""
        return dict(self.read_file_states(with_format=with_format, page_size=page_size))

    def read_file_states(
        self, *, with_format: bool = False, page_size: int = 10_000
    ) -> Iterator[tuple[str, FileState]]:
        """Yield each photo with the state of its file when it was indexed.

        It is the size, the times, the inode, the etag, the hash, and the state of the sidecars. The format of each
        document is read only if `with_format` is true. Else all states have FORMAT. A document that this program did
        not write is left out, so its photo is a new one.
        """
        self._client.refresh()
        # These are read from columns, because the documents themselves take three times as long.
        names = ["image_id", "bytes", "mtime_ns", "content_hash"]
        newer = ["ctime_ns", "inode", "sidecar_state", "etag"]  # which an older version did not store
        query = {
            "query": {"match_all": {}},
            "_source": False,
            "stored_fields": "_none_",
            "docvalue_fields": [*names, *newer, "format"] if with_format else [*names, *newer],
        }
        format_if_missing = 1 if with_format else FORMAT
        for hit in self._scan(query, page_size=page_size):
            fields = hit.get("fields", {})
            if not all(name in fields for name in names) or not is_image_id(fields["image_id"][0]):
                continue
            image_id, size, mtime_ns, content_hash = (fields[name][0] for name in names)
            (format_,) = fields.get("format", (format_if_missing,))
            ctime_ns, inode = (fields.get(name, (0,))[0] for name in ("ctime_ns", "inode"))
            yield (
                image_id,
                FileState(
                    bytes=size,
                    mtime_ns=mtime_ns,
                    content_hash=content_hash,
                    format=format_,
                    ctime_ns=ctime_ns,
                    inode=inode,
                    sidecar_state=fields.get("sidecar_state", (None,))[0],
                    etag=fields.get("etag", (None,))[0],
                ),
            )

    def embeddings(self, *, page_size: int = 1_000) -> Iterator[Embeddings]:
        """Yield every stored embedding, in pages of shape (n, dims)."""
        body = {"query": {"match_all": {}}, **self._client.embedding_field(), "_source": False}
        vectors = (queries.embedding_of(hit) for hit in self._scan(body, page_size=page_size))
        stored = (vector for vector in vectors if vector is not None)
        while page := list(islice(stored, page_size)):
            yield np.stack(page)

    def _scan(self, query: JSON, *, page_size: int) -> Iterator[Mapping[str, Any]]:
        """Yield each document that the query finds. They come from Elasticsearch in pages.

        Raise PartialAnswerError, with a status in PASSING, if a node went away meanwhile.
        """
        from elasticsearch import helpers

        try:
            with self._client.errors():
                yield from helpers.scan(self._client.writer, index=self._client.name, size=page_size, query=query)
        except SnapshotLostError as error:  # who calls this again begins a new scan
            raise PartialAnswerError(str(error), status=503, kind=error.kind, reason=error.reason) from error

    def sample(self, size: int, *, seed: int = 0) -> Embeddings:
        """Return the embeddings of `size` random photos, shape (n, dims), or all if there are fewer.

        The same `seed` draws the same photos.
        """
        drawn = {"query": {"match_all": {}}, "random_score": {"seed": seed, "field": "_seq_no"}}
        body = {"query": {"function_score": drawn}, "size": size, **self._client.embedding_field(), "_source": False}
        vectors = map(queries.embedding_of, self._client.search(body)["hits"]["hits"])
        return np.array([vector for vector in vectors if vector is not None], np.float32)

    def collections(self, by: str) -> Collections:
        """Return the collections of the photos. `by` is a value of the setting COLLECTIONS."""
        if by == NONE:
            return Collections(by=by, total=self._client.count(), found=())
        return collections_of(self._client.search(collections_search(by)), by)

    # Reading single photos

    def get(self, image_id: str) -> ImageDocument:
        """Return the document of a photo. Raise ImageNotFoundError if there is none that this program wrote."""
        check_image_id(image_id)
        client = self._client
        try:
            with client.errors():
                answer = client.reader.get(index=client.name, id=image_id, source_excludes=[queries.EMBEDDING])
        except RequestError as error:
            if error.status == 404:
                raise _not_found(image_id) from None
            raise
        return _own_document(answer.body)

    def get_many(self, image_ids: Sequence[str]) -> dict[str, ImageDocument]:
        """Return the documents of photos by image_id, in one request.

        Raise ImageNotFoundError if this program wrote no document of one of them.
        """
        for image_id in image_ids:
            check_image_id(image_id)
        if not image_ids:
            return {}
        items = self._client.get_many(list(dict.fromkeys(image_ids)), source_excludes=[queries.EMBEDDING])
        for item in items:
            if not item.get("found"):
                raise _not_found(item["_id"])
        return {item["_id"]: _own_document(item) for item in items}

    def embedding(self, image_id: str) -> Embedding:
        """Return the stored embedding of a photo, shape (dims,). Raise ImageNotFoundError if there is no such photo."""
        check_image_id(image_id)
        body = {"query": {"ids": {"values": [image_id]}}, **self._client.embedding_field(), "_source": False}
        hits = self._client.search(body, routing=image_id)["hits"]["hits"]  # it is in the shard that its id leads to
        embedding = queries.embedding_of(hits[0]) if hits else None
        if embedding is None:
            raise _not_found(image_id)
        return embedding

    def copy_of(self, content_hash: str) -> tuple[ImageDocument, Embedding] | None:
        """Return document and embedding of a photo whose file has that hash, or None if there is none."""
        body = {
            "query": {"term": {"content_hash": content_hash}},
            "size": 1,
            **self._client.embedding_field(),
            "_source": {"excludes": [queries.EMBEDDING]},
        }
        hits = self._client.search(body)["hits"]["hits"]
        documents, _ = read_hits(hits)
        embedding = queries.embedding_of(hits[0]) if documents else None
        return None if embedding is None else (documents[hits[0]["_id"]], embedding)


def check_image_id(image_id: str) -> None:
    """Raise ImageNotFoundError if the image_id is too long for any photo. Elasticsearch would refuse the request."""
    if len(image_id.encode(errors="replace")) > MAX_IMAGE_ID_BYTES:
        raise _not_found(image_id)


def _own_document(hit: Mapping[str, Any]) -> ImageDocument:
    """Return the document of a hit. Raise ImageNotFoundError if this program did not write it."""
    try:
        return document_of(hit)
    except IndexForeignError as error:
        raise ImageNotFoundError(str(error)) from error


def _not_found(image_id: str) -> ImageNotFoundError:
    return ImageNotFoundError(
        f"There is no photo '{shorten(image_id)}' in the index. It may have been renamed or deleted since; search "
        "again."
    )
