"""The Elasticsearch index of photos: every request to Elasticsearch is made here, every error of its translated."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from image_embeddings import queries
from image_embeddings.documents import JSON, Embedding, Embeddings, FileState, ImageDocument, ModelInfo
from image_embeddings.errors import (
    AuthenticationError,
    CertificateError,
    ImageNotFoundError,
    IndexForeignError,
    IndexMissingError,
    PermissionDeniedError,
    RequestError,
    ServerVersionError,
    SettingError,
    SlowError,
    UnreachableError,
)

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

LOOKUP_SINCE = (9, 4)
PACKED_VECTORS_SINCE = (9, 3)
OLDEST_SERVER = (8, 19)


@dataclass(frozen=True, kw_only=True)
class RawHit:
    """One hit as Elasticsearch gave it: document and `_score`."""

    document: ImageDocument
    score: float


@dataclass(frozen=True, kw_only=True)
class RawResult:
    """The answer to one kNN search."""

    hits: tuple[RawHit, ...]
    total: int  # documents in the index
    backing_index: str | None  # the index behind the alias that answered; None without hits


@dataclass(frozen=True, kw_only=True)
class IndexState:
    """What an index was built with, and the run that is filling it now, if any."""

    backing_index: str
    model: ModelInfo
    corpus: str | None = None  # the folder that was indexed last
    indexing: JSON | None = None  # {"done": n, "total": n, "updated": seconds since the epoch}


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A document that Elasticsearch did not take."""

    image_id: str
    reason: str


def connect(
    hosts: Sequence[str] = (),
    *,
    cloud_id: str | None = None,
    user: str | None = None,
    password: str | None = None,
    api_key: str | None = None,
    ca_certs: str | None = None,
    verify_certs: bool = True,
    timeout: float = 30,
) -> Elasticsearch:
    """A client for the cluster at `hosts` or `cloud_id`; nothing is sent yet.

    Raises:
        SettingError: the address, the Cloud ID or the CA file cannot be used.
    """
    from elasticsearch import Elasticsearch

    from image_embeddings.transport import NineOrEightNode

    options: dict[str, Any] = {
        "node_class": NineOrEightNode,
        "request_timeout": timeout,
        "retry_on_timeout": False,
    }
    if api_key:
        options["api_key"] = api_key
    elif user:
        # Encoded here: the client itself takes ASCII only.
        options["basic_auth"] = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    if cloud_id or any(host.startswith("https:") for host in hosts):
        options |= {"verify_certs": verify_certs}
        options |= {"ca_certs": ca_certs} if verify_certs and ca_certs else {}
        options |= {} if verify_certs else {"ssl_show_warn": False}
    address = {"cloud_id": cloud_id} if cloud_id else {"hosts": list(hosts)}
    try:
        ssl.create_default_context(cafile=options.get("ca_certs"))  # the client would look at the file only later
        return Elasticsearch(**address, **options)
    except (ValueError, OSError) as error:
        raise SettingError(
            f"Elasticsearch's address or CA file cannot be used: {error}. "
            "Look at ES_HOST (https://name:9200), ES_CLOUD_ID and ES_CA_CERTS (a PEM file)."
        ) from error


class ImageIndex:
    """The index of photos under one name (an alias), on one Elasticsearch.

    `version` (major, minor) is taken for the server's instead of asking it.
    """

    def __init__(self, client: Elasticsearch, *, name: str, version: tuple[int, int] | None = None) -> None:
        self._client = client
        self.name = name
        self._version = version

    # Server and index as a whole

    def server_version(self) -> tuple[int, int]:
        """Major and minor version of the server, asked once.

        Raises:
            ServerVersionError: older than 8.19, or no Elasticsearch.
        """
        if self._version is None:
            with self._translated():
                number = self._version_number()
            major, minor = (int(part) for part in number.split(".")[:2])
            if (major, minor) < OLDEST_SERVER:
                raise ServerVersionError(_too_old(number))
            self._version = (major, minor)
        return self._version

    def _version_number(self) -> str:
        from elasticsearch import ApiError

        try:
            return str(self._client.info()["version"]["number"])
        except ApiError as error:
            if error.status_code != 405:  # the embedded node has no `GET /`
                raise
        nodes = self._client.nodes.info(filter_path="nodes.*.version")["nodes"]
        return str(next(iter(nodes.values()))["version"])

    def state(self) -> IndexState:
        """What the index was built with.

        Raises:
            IndexMissingError: there is no index of that name.
            IndexForeignError: there is one that this program did not make.
        """
        backing_index, body = next(iter(self._mappings().items()))
        meta = body["mappings"].get("_meta", {})
        model = queries.model_of(meta)
        if model is None:
            raise IndexForeignError(
                f"The index '{self.name}' was not made by this version of the program. "
                "Choose another INDEX_NAME, or replace it: index --delete-existing."
            )
        return IndexState(
            backing_index=backing_index, model=model, corpus=meta.get("corpus"), indexing=meta.get("indexing")
        )

    def at(self, backing_index: str) -> ImageIndex:
        """The same index by the name behind the alias: what is written through it never lands in another."""
        return ImageIndex(self._client, name=backing_index, version=self._version)

    def create(self, *, model: ModelInfo, vector_index_type: str) -> IndexState:
        """Makes a new, empty index for embeddings of `model`, which takes the place of an older one in one step.

        Raises:
            IndexForeignError: the name stands for several indices.
            RequestError: Elasticsearch refuses the name or the mapping; what was there is still there.
        """
        older = self._backing_indices()
        backing_index = f"{self.name}-{time.strftime('%Y%m%d%H%M%S')}-{time.time_ns() % 10**6:06}"
        body = queries.index_body(model=model, vector_index_type=vector_index_type)
        actions: list[JSON] = [{"remove_index": {"index": name}} for name in older]
        actions.append({"add": {"index": backing_index, "alias": self.name, "is_write_index": True}})
        with self._translated():
            self._client.indices.create(index=backing_index, **body)
            self._client.indices.update_aliases(actions=actions)
        return IndexState(backing_index=backing_index, model=model)

    def drop(self) -> None:
        """Removes the index with all its documents; nothing where there is none.

        Raises:
            IndexForeignError: the name stands for several indices.
        """
        for name in self._backing_indices():
            with self._translated():
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

    def note_progress(self, state: IndexState, indexing: JSON | None) -> None:
        """Records in the mapping's `_meta` how far an indexing run is; None: that it has ended."""
        with self._translated():
            self._client.indices.put_mapping(
                index=self.name,
                meta=queries.meta(model=state.model, corpus=state.corpus, indexing=indexing),
                properties={},
            )

    def refresh(self) -> None:
        """Makes everything written so far visible to searches."""
        with self._translated():
            self._client.indices.refresh(index=self.name)

    def count(self) -> int:
        """Photos in the index."""
        with self._translated():
            return int(self._client.count(index=self.name)["count"])

    # Documents

    def add(self, documents: Iterable[tuple[ImageDocument, Embedding]], *, chunk_size: int = 500) -> Iterator[Rejected]:
        """Writes documents with their embeddings, replacing those of the same image_id; yields what was refused.

        Consume it whole: writing goes on as it is iterated. A full queue (429) is waited for.
        """
        actions = (
            {
                "_op_type": "index",
                "_id": document.image_id,
                **queries.document_body(document, vector=self._vector(embedding)),
            }
            for document, embedding in documents
        )
        yield from self._bulk(actions, chunk_size=chunk_size)

    def remove(self, image_ids: Iterable[str], *, chunk_size: int = 500) -> Iterator[Rejected]:
        """Deletes documents; yields those that could not be. One that is gone already counts as deleted."""
        actions = ({"_op_type": "delete", "_id": image_id} for image_id in image_ids)
        yield from self._bulk(actions, chunk_size=chunk_size)

    def _bulk(self, actions: Iterable[JSON], *, chunk_size: int) -> Iterator[Rejected]:
        from elasticsearch import helpers

        with self._translated():
            for ok, item in helpers.streaming_bulk(
                self._client,
                actions,
                index=self.name,
                chunk_size=chunk_size,
                raise_on_error=False,
                max_retries=8,
                initial_backoff=0.5,
                max_backoff=30,
            ):
                result = next(iter(item.values()))
                if not ok and result.get("result") != "not_found":
                    yield Rejected(image_id=result["_id"], reason=_item_reason(result))

    def _vector(self, embedding: Embedding) -> Any:
        from elasticsearch import helpers

        if self.server_version() >= PACKED_VECTORS_SINCE:
            return helpers.pack_dense_vector(embedding)
        return embedding.tolist()

    def file_states(self, *, page_size: int = 5_000) -> dict[str, FileState]:
        """image_id -> size, time and hash of the file as it was when indexed, for every photo in the index."""
        from elasticsearch import helpers

        self.refresh()
        fields = list(FileState.__dataclass_fields__)
        with self._translated():
            scan = helpers.scan(
                self._client, index=self.name, size=page_size, query={"_source": fields, "query": {"match_all": {}}}
            )
            return {hit["_id"]: FileState(**hit["_source"]) for hit in scan}

    def embeddings(self, *, page_size: int = 1_000) -> Iterator[Embeddings]:
        """Every stored embedding, in pages of shape (n, dims)."""
        from elasticsearch import helpers

        body = {"query": {"match_all": {}}, "fields": [queries.EMBEDDING], "_source": False}
        with self._translated():
            scan = helpers.scan(self._client, index=self.name, size=page_size, query=body)
            vectors = (hit["fields"][queries.EMBEDDING] for hit in scan)
            while page := list(islice(vectors, page_size)):
                yield np.asarray(page, np.float32)

    def get(self, image_id: str) -> ImageDocument:
        """The document of that photo.

        Raises:
            ImageNotFoundError: there is none.
        """
        from elasticsearch import NotFoundError

        try:
            with self._translated():
                answer = self._client.get(index=self.name, id=image_id, source_excludes=[queries.EMBEDDING])
        except RequestError as error:
            if isinstance(error.__cause__, NotFoundError):
                raise _image_not_found(image_id) from None
            raise
        return queries.document_of(answer["_source"])

    def embedding(self, image_id: str) -> Embedding:
        """The stored embedding of that photo, shape (dims,).

        Raises:
            ImageNotFoundError: there is no such photo.
        """
        body = {"query": {"ids": {"values": [image_id]}}, "fields": [queries.EMBEDDING], "_source": False}
        with self._translated():
            hits = self._client.search(index=self.name, body=body)["hits"]["hits"]
        if not hits:
            raise _image_not_found(image_id)
        return np.asarray(hits[0]["fields"][queries.EMBEDDING], np.float32)

    def newest(self, *, k: int) -> tuple[ImageDocument, ...]:
        """The k photos whose files changed last, newest first."""
        body = {"sort": [{"mtime_ns": "desc"}], "size": k, "_source": {"excludes": [queries.EMBEDDING]}}
        with self._translated():
            hits = self._client.search(index=self.name, body=body)["hits"]["hits"]
        return tuple(queries.document_of(hit["_source"]) for hit in hits)

    # Search

    def near(self, embedding: Embedding, *, k: int, offset: int = 0, filters: Sequence[JSON] = ()) -> RawResult:
        """The k photos nearest to an embedding, after the first `offset`."""
        return self._search(queries.knn_search(queries.vector_query(embedding), k=k, offset=offset, filters=filters))

    def like(self, image_id: str, *, k: int, offset: int = 0, filters: Sequence[JSON] = ()) -> RawResult:
        """The k photos nearest to an indexed one, which is not among them; one request where the server can look it up.

        Raises:
            ImageNotFoundError: there is no such photo.
        """
        filters = [*filters, queries.not_image(image_id)]
        if self.server_version() < LOOKUP_SINCE:
            return self.near(self.embedding(image_id), k=k, offset=offset, filters=filters)
        query = queries.lookup_query(index=self.name, image_id=image_id)
        try:
            return self._search(queries.knn_search(query, k=k, offset=offset, filters=filters))
        except RequestError:
            self.get(image_id)  # says so where the photo is the one thing missing
            raise

    def _search(self, body: JSON) -> RawResult:
        with self._translated():
            answer = self._client.search(index=self.name, body=body)
        hits = answer["hits"]["hits"]
        return RawResult(
            hits=tuple(RawHit(document=queries.document_of(hit["_source"]), score=hit["_score"]) for hit in hits),
            total=answer["aggregations"]["corpus"]["doc_count"],
            backing_index=hits[0]["_index"] if hits else None,
        )

    # Errors

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns what the client library raises into our errors, with a remedy in each."""
        import elasticsearch
        from elasticsearch.helpers import ScanError

        try:
            yield
        except elasticsearch.SSLError as error:
            raise CertificateError(
                f"TLS with {self.address} fails: {_last_cause(error)}. Point ES_CA_CERTS at the CA file (ca.crt) of "
                "that cluster, or for a test set ES_VERIFY_CERTS=false; where the server has no TLS, ES_HOST begins "
                "with http://."
            ) from error
        except elasticsearch.ConnectionTimeout as error:
            raise SlowError(
                f"Elasticsearch at {self.address} did not answer in time. Look at its load, then try again."
            ) from error
        except ScanError as error:
            raise RequestError(f"Elasticsearch could not read the whole index: {error}. Try again.") from error
        except elasticsearch.ConnectionError as error:
            raise UnreachableError(
                f"Nothing answers at {self.address} ({_last_cause(error)}). Is Elasticsearch running, is ES_HOST "
                "right (https or http, name, port)? Without ES_HOST an embedded node is started."
            ) from error
        except elasticsearch.UnsupportedProductError as error:
            raise ServerVersionError(
                f"What answers at {self.address} is not Elasticsearch. Look at ES_HOST."
            ) from error
        except elasticsearch.ApiError as error:
            raise self._api_error(error) from error

    def _api_error(self, error: Any) -> Exception:
        kind, reason = _type_and_reason(error)
        if not isinstance(error.body, dict) and "x-elastic-product" not in error.meta.headers:
            return ServerVersionError(f"What answers at {self.address} is not Elasticsearch. Look at ES_HOST.")
        if error.status_code == 401:
            return AuthenticationError(
                f"{self.address} does not accept the credentials. "
                "Look at ES_USER and ES_PWD, or ES_API_KEY (the encoded form)."
            )
        if error.status_code == 403:
            return PermissionDeniedError(
                f"{self.address} does not permit this: {reason}. "
                f"The user needs the index privileges 'all' on '{self.name}*' and the cluster privilege 'monitor'."
            )
        if kind == "index_not_found_exception":
            return IndexMissingError(
                f"There is no index '{self.name}' yet. Index your photos first: python -m image_embeddings index"
            )
        if kind == "media_type_header_exception":
            return ServerVersionError(_too_old("7 or older"))
        return RequestError(f"Elasticsearch refused the request ({error.status_code} {kind}): {reason}")

    @property
    def address(self) -> str:
        """Where Elasticsearch is looked for."""
        nodes = self._client.transport.node_pool.all()
        return ", ".join(f"{node.config.scheme}://{node.host}:{node.port}" for node in nodes)


def _image_not_found(image_id: str) -> ImageNotFoundError:
    return ImageNotFoundError(
        f"There is no photo '{image_id}' in the index. It may have been renamed or deleted since; search again."
    )


def _too_old(number: str) -> str:
    return (
        f"The server is Elasticsearch {number}; 8.19 or later is needed. Upgrade it, or unset ES_HOST to use the "
        "embedded node."
    )


def _item_reason(result: JSON) -> str:
    error = result.get("error")
    return f"Elasticsearch refused it: {error.get('reason', error) if isinstance(error, dict) else error}"


def _type_and_reason(error: Any) -> tuple[str, str]:
    body = error.body.get("error", {}) if isinstance(error.body, dict) else {}
    if not isinstance(body, dict):
        return "error", str(body)
    cause = body
    while isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    first = next(iter(body.get("root_cause", [])), body)
    return str(body.get("type", "error")), str(first.get("reason") or cause.get("reason") or error.message)


def _last_cause(error: Any) -> str:
    """The innermost of the errors that a connection error wraps, in words."""
    errors = getattr(error, "errors", ())
    inner = errors[-1] if errors else error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return str(getattr(inner, "message", inner)).rstrip(".")
