"""The Elasticsearch index of photos: what is written to it, read from it and searched in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from image_embeddings.calibration.likeness import Calibration
from image_embeddings.documents import (
    FORMAT,
    JSON,
    MAX_IMAGE_ID_BYTES,
    Embedding,
    Embeddings,
    Facets,
    FileState,
    ImageDocument,
    ModelInfo,
    PhotoMetadata,
)
from image_embeddings.errors import (
    PASSING,
    ImageNotFoundError,
    IndexForeignError,
    IndexMissingError,
    RequestError,
)
from image_embeddings.es import mapping, queries
from image_embeddings.es.collections import NONE, Collections, collections_of, collections_search
from image_embeddings.es.connection import Cluster
from image_embeddings.es.filters import facets_of
from image_embeddings.es.queries import Shape

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

REBUILD_SUFFIX = "-rebuild"
ALLOCATION_SECONDS = 5  # after which an index that has just been made is asked why no node has taken it
LOOKUP_SINCE = (9, 4)
PACKED_VECTORS_SINCE = (9, 3)


@dataclass(frozen=True, kw_only=True)
class RawHit:
    """One hit as Elasticsearch gave it."""

    document: ImageDocument
    # (1 + cosine) / 2 of its embedding; None where only its words were found, or nothing was asked for.
    score: float | None
    by_words: bool = False  # words of the text are in its name, caption or label
    embedding: Embedding | None = None  # where it was asked for


@dataclass(frozen=True, kw_only=True)
class RawResult:
    """The answer to one kNN search."""

    hits: tuple[RawHit, ...]
    total: int  # documents in the index
    matching: int  # those of them that pass the filters
    backing_index: str | None  # the index behind the alias that answered; None without hits
    facets: Facets | None = None


@dataclass(frozen=True, kw_only=True)
class IndexState:
    """What an index was built with, and the run that is filling it now, if any."""

    backing_index: str
    model: ModelInfo
    corpus: str | None = None  # the folder that was indexed last
    indexing: JSON | None = None  # {"done": n, "total": n, "updated": seconds since the epoch, "stopped": by the user}
    oldest_format: int = FORMAT  # a document of it may have
    calibration: Calibration | None = None  # what likeness is usual in it


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A document that Elasticsearch did not take."""

    image_id: str
    error: RequestError

    @property
    def reason(self) -> str:
        """Why, in words."""
        return f"Elasticsearch refused it: {self.error.reason}"


class ImageIndex:
    """The index of photos under one name (an alias), on one Elasticsearch."""

    def __init__(self, cluster: Cluster, *, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._client = cluster.client
        # A search that is under way when a rebuild takes the index's place is refused with 503: it is sent again.
        self._reader = cluster.client.options(retry_on_status=PASSING)

    # The index as a whole

    def state(self) -> IndexState:
        """What the index was built with.

        Raises:
            IndexMissingError: there is no index of that name.
            IndexForeignError: there is one that this program did not make.
        """
        backing_index, body = next(iter(self._mappings().items()))
        meta = body["mappings"].get("_meta", {})
        model = mapping.model_of(meta)
        if model is None:
            raise IndexForeignError(
                f"The index '{self.name}' was not made by this version of the program. "
                "Choose another INDEX_NAME, or replace it: index --delete-existing."
            )
        return IndexState(
            backing_index=backing_index,
            model=model,
            corpus=meta.get("corpus"),
            indexing=meta.get("indexing"),
            oldest_format=meta.get("oldest_format", 1),
            calibration=Calibration.from_json(meta.get("calibration")),
        )

    def at(self, backing_index: str) -> ImageIndex:
        """The same index by the name behind the alias: what is written through it never lands in another."""
        return ImageIndex(self.cluster, name=backing_index)

    def create(self, *, model: ModelInfo, vector_index_type: str, corpus: str | None = None) -> IndexState:
        """Makes a new, empty index for embeddings of `model`, which takes the place of an older one in one step.

        Raises:
            IndexForeignError: the name stands for several indices.
            RequestError: Elasticsearch refuses the name or the mapping, or no node of it has room; what was there is
                still there.
        """
        return self._make(self.name, model=model, vector_index_type=vector_index_type, corpus=corpus)

    @property
    def rebuild(self) -> ImageIndex:
        """The index that is being filled to take this one's place, if there is one; goes by an alias of its own."""
        return ImageIndex(self.cluster, name=f"{self.name}{REBUILD_SUFFIX}")

    def begin_rebuild(self, *, model: ModelInfo, vector_index_type: str, corpus: str | None = None) -> IndexState:
        """Makes a new, empty index beside this one, as `rebuild`; this one goes on to answer.

        Raises:
            RequestError: Elasticsearch refuses the name or the mapping, or no node of it has room.
        """
        return self.rebuild._make(self.name, model=model, vector_index_type=vector_index_type, corpus=corpus)

    def finish_rebuild(self, backing_index: str) -> None:
        """Puts the index behind `rebuild` in this one's place, in one step; this one is removed. Twice does no harm.

        Raises:
            IndexMissingError: there is no such index.
        """
        end = {"remove": {"index": backing_index, "alias": self.rebuild.name}}
        self._name(backing_index, in_place_of=self._backing_indices(), also=[end])

    def _make(self, prefix: str, *, model: ModelInfo, vector_index_type: str, corpus: str | None) -> IndexState:
        older = self._backing_indices()
        backing_index = f"{prefix}-{time.strftime('%Y%m%d%H%M%S')}-{time.time_ns() % 10**6:06}"
        body = mapping.index_body(model=model, vector_index_type=vector_index_type, corpus=corpus)
        if not older:  # one request: a run that is cut off leaves no index without a name
            body["aliases"] = {self.name: {"is_write_index": True}}
        try:
            with self._translated():
                made = self._client.indices.create(index=backing_index, timeout=f"{ALLOCATION_SECONDS}s", **body)
            if not made["shards_acknowledged"]:
                self._check_place_of(backing_index)
        except RequestError as error:
            if error.kind != "resource_already_exists_exception":  # the client asked again, for the answer was lost
                raise
        if older:
            self._name(backing_index, in_place_of=older)
        return IndexState(backing_index=backing_index, model=model, corpus=corpus)

    def _check_place_of(self, backing_index: str) -> None:
        """Returns where a node takes, or will take, the index that has just been made; else removes it.

        Raises:
            DiskFullError: the nodes lack room for it.
            RequestError: no node may take it for another reason.
        """
        try:
            self.cluster.check_allocation(backing_index)
        except RequestError:
            with suppress(IndexMissingError), self._translated():
                self._client.indices.delete(index=backing_index)
            raise

    def _name(self, backing_index: str, *, in_place_of: Sequence[str], also: Sequence[JSON] = ()) -> None:
        """Has the alias stand for that index, and removes others, in one step; nothing where it does already."""
        actions: list[JSON] = [{"remove_index": {"index": name}} for name in in_place_of if name != backing_index]
        actions.append({"add": {"index": backing_index, "alias": self.name, "is_write_index": True}})
        try:
            with self._translated():
                self._client.indices.update_aliases(actions=[*actions, *also])
        except (IndexMissingError, RequestError):
            if self._backing_indices() != [backing_index]:  # else only the answer to the same request was lost
                raise

    def drop(self) -> None:
        """Removes the index with all its documents; nothing where there is none.

        Raises:
            IndexForeignError: the name stands for several indices.
        """
        for name in self._backing_indices():
            with suppress(IndexMissingError), self._translated():
                self._client.indices.delete(index=name)

    def _backing_indices(self) -> list[str]:
        """The index behind the name, if there is one."""
        try:
            return list(self._mappings())
        except IndexMissingError:
            return []

    def _mappings(self) -> Mapping[str, Any]:
        """The mapping of the one index behind the name, by that index's own name."""
        with self._translated():
            mappings: Mapping[str, Any] = self._client.indices.get_mapping(index=self.name).body
        if len(mappings) != 1:
            raise IndexForeignError(
                f"'{self.name}' stands for several indices: {', '.join(mappings)}. Choose another INDEX_NAME."
            )
        return mappings

    def add_missing_fields(self) -> None:
        """Lets an index that an older version made take the documents of this one; nothing where it can already."""
        mapping = next(iter(self._mappings().values()))["mappings"]
        missing = mapping.missing_properties(mapping.get("properties", {}))
        if missing:
            with self._translated():
                self._client.indices.put_mapping(index=self.name, properties=missing)

    def note_progress(self, state: IndexState, indexing: JSON | None) -> None:
        """Records in the mapping's `_meta` how far an indexing run is; None: that it has ended."""
        with self._translated():
            self._client.indices.put_mapping(
                index=self.name,
                meta=mapping.meta(
                    model=state.model,
                    corpus=state.corpus,
                    indexing=indexing,
                    oldest_format=state.oldest_format,
                    calibration=state.calibration.to_json() if state.calibration else None,
                ),
                properties={},
            )

    def refresh(self) -> None:
        """Makes everything written so far visible to searches."""
        with self._translated():
            self._client.indices.refresh(index=self.name)

    def count(self) -> int:
        """Photos in the index."""
        with self._translated():
            return int(self._reader.count(index=self.name)["count"])

    # Documents

    def add(self, documents: Iterable[tuple[ImageDocument, Embedding]], *, chunk_size: int = 500) -> Iterator[Rejected]:
        """Writes documents with their embeddings, replacing those of the same image_id; yields what was refused.

        Consume it whole: writing goes on as it is iterated.
        """
        actions = (
            {
                "_op_type": "index",
                "_id": document.image_id,
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
        """Sets label, caption and further columns of photos in the index, by image_id; yields what was refused.

        What the metadata file leaves empty stays as it is. `changed` is told of each photo that was not so before.
        """
        actions = (
            {"_op_type": "update", "_id": image_id, "doc": mapping.metadata_body(said)}
            for image_id, said in metadata.items()
        )
        yield from self._bulk(actions, chunk_size=chunk_size, changed=changed)

    def remove(self, image_ids: Iterable[str], *, chunk_size: int = 500) -> Iterator[Rejected]:
        """Deletes documents; yields those that could not be. One that is gone already counts as deleted."""
        actions = ({"_op_type": "delete", "_id": image_id} for image_id in image_ids)
        yield from self._bulk(actions, chunk_size=chunk_size)

    def _bulk(
        self,
        actions: Iterable[JSON],
        *,
        chunk_size: int,
        changed: Callable[[str], object] = lambda image_id: None,
    ) -> Iterator[Rejected]:
        from elasticsearch import helpers

        with self._translated():
            for ok, item in helpers.streaming_bulk(
                self._client,
                actions,
                index=self.name,
                chunk_size=chunk_size,
                raise_on_error=False,
            ):
                result = next(iter(item.values()))
                if not ok and result.get("result") != "not_found":
                    error = self.cluster.refusal(
                        status=result["status"], kind=result["error"]["type"], reason=result["error"]["reason"]
                    )
                    yield Rejected(image_id=result["_id"], error=error)
                elif result.get("result") == "updated":  # not: noop
                    changed(result["_id"])

    def _vector(self, embedding: Embedding) -> Any:
        from elasticsearch import helpers

        if self.cluster.server_version() >= PACKED_VECTORS_SINCE:
            return helpers.pack_dense_vector(embedding)
        return embedding.tolist()

    def file_states(self, *, with_format: bool = False, page_size: int = 10_000) -> dict[str, FileState]:
        """image_id -> size, time and hash of the file as it was when indexed, for every photo in the index.

        The format of its document too, if asked for.
        """
        from elasticsearch import helpers

        self.refresh()
        # Out of columns, not out of the documents, which are three times as slow to read.
        names = ["image_id", "bytes", "mtime_ns", "content_hash"]
        query = {
            "query": {"match_all": {}},
            "_source": False,
            "stored_fields": "_none_",
            "docvalue_fields": [*names, "format"] if with_format else names,
        }
        missing = (1,) if with_format else (FORMAT,)
        with self._translated():
            scan = helpers.scan(self._client, index=self.name, size=page_size, query=query)
            rows = (
                [fields[name][0] for name in names] + [fields.get("format", missing)[0]] for fields in _fields(scan)
            )
            return {
                image_id: FileState(bytes=size, mtime_ns=mtime, content_hash=content_hash, format=format_)
                for image_id, size, mtime, content_hash, format_ in rows
            }

    def embeddings(self, *, page_size: int = 1_000) -> Iterator[Embeddings]:
        """Every stored embedding, in pages of shape (n, dims)."""
        from elasticsearch import helpers

        body = {"query": {"match_all": {}}, "fields": [mapping.EMBEDDING], "_source": False}
        with self._translated():
            scan = helpers.scan(self._client, index=self.name, size=page_size, query=body)
            vectors = (hit["fields"][mapping.EMBEDDING] for hit in scan)
            while page := list(islice(vectors, page_size)):
                yield np.asarray(page, np.float32)

    def sample(self, size: int, *, seed: int = 0) -> Embeddings:
        """The stored embeddings of so many photos, drawn by `seed`, shape (n, dims); all of a smaller index."""
        drawn = {"query": {"match_all": {}}, "random_score": {"seed": seed, "field": "_seq_no"}}
        body = {"query": {"function_score": drawn}, "size": size, "fields": [mapping.EMBEDDING], "_source": False}
        with self._translated():
            hits = self._reader.search(index=self.name, body=body)["hits"]["hits"]
        return np.array([hit["fields"][mapping.EMBEDDING] for hit in hits], np.float32)

    def get(self, image_id: str) -> ImageDocument:
        """The document of that photo.

        Raises:
            ImageNotFoundError: there is none.
        """
        _check_length(image_id)
        try:
            with self._translated():
                answer = self._reader.get(index=self.name, id=image_id, source_excludes=[mapping.EMBEDDING])
        except RequestError as error:
            if error.status == 404:
                raise _image_not_found(image_id) from None
            raise
        return mapping.document_of(answer["_source"])

    def get_many(self, image_ids: Sequence[str]) -> dict[str, ImageDocument]:
        """Return the documents of these photos by image_id, in one request.

        Raises:
            ImageNotFoundError: there is no document of one of them.
        """
        for image_id in image_ids:
            _check_length(image_id)
        if not image_ids:
            return {}
        with self._translated():
            answer = self._reader.mget(
                index=self.name, ids=list(dict.fromkeys(image_ids)), source_excludes=[mapping.EMBEDDING]
            )
        for item in answer["docs"]:
            if not item.get("found"):
                raise _image_not_found(item["_id"])
        return {item["_id"]: mapping.document_of(item["_source"]) for item in answer["docs"]}

    def embedding(self, image_id: str) -> Embedding:
        """The stored embedding of that photo, shape (dims,).

        Raises:
            ImageNotFoundError: there is no such photo.
        """
        _check_length(image_id)
        body = {"query": {"ids": {"values": [image_id]}}, "fields": [mapping.EMBEDDING], "_source": False}
        with self._translated():
            hits = self._reader.search(index=self.name, body=body)["hits"]["hits"]
        if not hits:
            raise _image_not_found(image_id)
        return np.asarray(hits[0]["fields"][mapping.EMBEDDING], np.float32)

    def copy_of(self, content_hash: str) -> tuple[ImageDocument, Embedding] | None:
        """Document and embedding of a photo whose file has these bytes; None where there is none."""
        body = {
            "query": {"term": {"content_hash": content_hash}},
            "size": 1,
            "fields": [mapping.EMBEDDING],
            "_source": {"excludes": [mapping.EMBEDDING]},
        }
        with self._translated():
            hits = self._reader.search(index=self.name, body=body)["hits"]["hits"]
        if not hits:
            return None
        return mapping.document_of(hits[0]["_source"]), np.asarray(hits[0]["fields"][mapping.EMBEDDING], np.float32)

    def collections(self, by: str) -> Collections:
        """The collections that the photos fall into, by what the setting COLLECTIONS names."""
        if by == NONE:
            return Collections(by=by, total=self.count(), found=())
        return collections_of(self._asked(collections_search(by)), by)

    # Search

    def near(self, embedding: Embedding, *, k: int, offset: int = 0, shape: Shape | None = None) -> RawResult:
        """The k photos nearest to an embedding, after the first `offset`."""
        return self._search(queries.vector_query(embedding), k=k, offset=offset, shape=shape)

    def browse(self, *, k: int, offset: int = 0, shape: Shape | None = None) -> RawResult:
        """All photos that pass the filters, by date."""
        return self._search(None, k=k, offset=offset, shape=shape)

    def near_text(
        self,
        text: str,
        *,
        model_id: str,
        k: int,
        offset: int = 0,
        shape: Shape | None = None,
        seconds: float = 12,
    ) -> RawResult:
        """Return the k photos nearest to a text that Elasticsearch encodes itself, by its model `model_id`.

        It is one request, sent once, which may take `seconds`.
        """
        query = queries.text_model_query(model_id=model_id, text=text)
        client = self._client.options(request_timeout=seconds, max_retries=0)
        return self._search(query, k=k, offset=offset, shape=shape, client=client)

    def like(self, image_id: str, *, k: int, offset: int = 0, shape: Shape | None = None) -> RawResult:
        """The k photos nearest to an indexed one, which is not among them; one request where the server can look it up.

        Raises:
            ImageNotFoundError: there is no such photo.
        """
        _check_length(image_id)
        shape = replace(shape or Shape(), without=[image_id])
        if self.cluster.server_version() < LOOKUP_SINCE:
            return self.near(self.embedding(image_id), k=k, offset=offset, shape=shape)
        query = queries.lookup_query(index=self.name, image_id=image_id)
        try:
            return self._search(query, k=k, offset=offset, shape=shape)
        except RequestError:
            self.get(image_id)  # says so where the photo is the one thing missing
            raise

    def _search(
        self,
        query: JSON | None,
        *,
        k: int,
        offset: int,
        shape: Shape | None = None,
        client: Elasticsearch | None = None,
    ) -> RawResult:
        body = queries.photo_search(query, k=k, offset=offset, shape=shape)
        answer = self._asked(body, client=client)
        hits = answer["hits"]["hits"]
        counts = answer["aggregations"]["corpus"]
        scores = {hit["_id"]: queries.embedding_score(hit) for hit in hits} if query else {}
        unscored = [image_id for image_id, score in scores.items() if score is None]
        if query and unscored:
            near = queries.photo_search(query, k=len(unscored), shape=Shape(among=unscored))
            scores |= {hit["_id"]: hit["_score"] for hit in self._asked(near, client=client)["hits"]["hits"]}
        return RawResult(
            hits=tuple(
                RawHit(
                    document=mapping.document_of(hit["_source"]),
                    score=scores.get(hit["_id"]),
                    by_words=queries.is_by_words(hit),
                    embedding=_embedding(hit),
                )
                for hit in hits
            ),
            total=counts["doc_count"],
            matching=counts.get("matching", counts)["doc_count"],
            backing_index=hits[0]["_index"] if hits else None,
            facets=facets_of(counts, shape.filters) if shape and shape.facets else None,
        )

    def _asked(self, body: JSON, *, client: Elasticsearch | None = None) -> Mapping[str, Any]:
        with self._translated():
            answer = (client or self._reader).search(index=self.name, body=body, include_named_queries_score=True)
        found: Mapping[str, Any] = answer.body
        return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns what the client library raises into our errors, with a remedy in each."""
        try:
            with self.cluster.errors(
                needs=f"the index privileges 'all' on '{self.name}*' and the cluster privilege 'monitor'"
            ):
                yield
        except RequestError as error:
            if error.kind == "index_not_found_exception":
                self._check_not_starting()
                raise IndexMissingError(
                    f"There is no index '{self.name}' yet. Index your photos first: python -m image_embeddings index"
                ) from error
            raise

    def _check_not_starting(self) -> None:
        """Returns where an index that was not found is not there, and not only unknown to an Elasticsearch that starts.

        Raises:
            RequestError: of a kind that passes.
        """
        self.cluster.check_recovered()
        with self.cluster.errors():
            found_since = self._client.indices.exists(index=self.name)
        if found_since:
            raise RequestError(f"Elasticsearch has only now come to know '{self.name}'. Try again.", status=503)


def _embedding(hit: Mapping[str, Any]) -> Embedding | None:
    found = hit.get("fields", {}).get(mapping.EMBEDDING)
    return None if found is None else np.asarray(found, np.float32)


def _fields(hits: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (hit["fields"] for hit in hits)


def _check_length(image_id: str) -> None:
    """Raises where no photo can have that image_id: Elasticsearch would not even look for it."""
    if len(image_id.encode(errors="replace")) > MAX_IMAGE_ID_BYTES:
        raise _image_not_found(f"{image_id[:80]}…")


def _image_not_found(image_id: str) -> ImageNotFoundError:
    return ImageNotFoundError(
        f"There is no photo '{image_id}' in the index. It may have been renamed or deleted since; search again."
    )
