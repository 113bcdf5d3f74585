"""The requests to one index: its name, its connection, and the errors of Elasticsearch as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from image_embeddings.documents import JSON
from image_embeddings.errors import PASSING, ElasticsearchError, IndexMissingError, RequestError, SlowError
from image_embeddings.es import queries
from image_embeddings.es.connection import Cluster
from image_embeddings.es.refusals import NODE_LOST

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_TRIES_AFTER_LOSS = 2  # each fails at once as long as the node is not known to be gone
# From this version on, embeddings are read in base64: the same bits in a fifth of the time.
READS_PACKED_SINCE = (9, 4)
ASK_SECONDS = 5  # the time that a question may take which is asked only to learn why another one failed


class IndexClient:
    """Sends the requests to one index. `ImageIndex`, `Documents` and `Nearest` share it.

    `name` is the name of the index, or an alias of it.
    """

    def __init__(self, cluster: Cluster, *, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.writer: Elasticsearch = cluster.client
        # If a rebuild replaces the index during a search, Elasticsearch refuses it with 503. The client repeats it.
        self.reader: Elasticsearch = cluster.client.options(retry_on_status=PASSING)

    def search(
        self, body: JSON, *, client: Elasticsearch | None = None, partial: bool = False, **parameters: Any
    ) -> Mapping[str, Any]:
        """Return the answer to a search. `reader` sends it, unless another `client` is given.

        `parameters` are added to the URL of the request. Only if `partial` is true, the answer may lack the photos of
        some shards: see `queries.is_partial`. If a node has just gone, its shards are asked for again, because other
        nodes may have copies of them. Raise errors as `errors` does.
        """
        parameters |= {"allow_partial_search_results": True} if partial else {}
        for _ in range(1 + _TRIES_AFTER_LOSS):
            with self.errors():
                answer = (client or self.reader).search(index=self.name, body=body, **parameters)
            result: Mapping[str, Any] = answer.body
            if not _has_lost_node(result):
                break
        return result

    @property
    def reads_packed(self) -> bool:
        """Whether Elasticsearch gives embeddings in base64."""
        return self.cluster.server_version() >= READS_PACKED_SINCE

    def embedding_field(self) -> JSON:
        """Return the part of a search that asks for the embedding of each hit, for `queries.embedding_of`."""
        return queries.embedding_field(packed=self.reads_packed)

    def get_many(self, ids: Sequence[str], **source: Any) -> list[Mapping[str, Any]]:
        """Return what Elasticsearch has of the documents of these ids. `source` says which fields.

        Raise errors as `errors` does.
        """
        with self.errors():
            items: list[Mapping[str, Any]] = self.reader.mget(index=self.name, ids=ids, **source)["docs"]
        for item in items:
            if "error" in item:  # the answer as a whole has status 200, even if the index is closed
                raise self.error_of_item(503, item["error"])
        return items

    def refresh(self) -> None:
        """Make everything that was written visible to searches."""
        with self.errors():
            self.writer.indices.refresh(index=self.name)

    def count(self) -> int:
        """Return the number of photos in the index."""
        with self.errors():
            return int(self.reader.count(index=self.name)["count"])

    @property
    def _needs(self) -> str:
        return f"the index privileges 'all' on '{self.name}*' and the cluster privilege 'monitor'"

    def error_of_item(self, status: int, error: Any) -> ElasticsearchError:
        """Return our error for one document of a request, from what Elasticsearch answers for it."""
        return self.cluster.error_of_item(status, error, needs=self._needs, index=self.name)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of the client library into ours, each with a remedy.

        Raise IndexMissingError if there is no such index, and an ElasticsearchError for any other failure.
        """
        try:
            yield
        except self.cluster.client_errors as failure:
            error = self.cluster.error_for(failure, needs=self._needs, index=self.name)
            if isinstance(error, RequestError) and error.kind == "index_not_found_exception":
                self._check_really_missing()
                raise IndexMissingError(
                    f"There is no index '{self.name}' yet. Index your photos first: python -m image_embeddings index"
                ) from failure
            if isinstance(error, SlowError):
                self.cluster.check_master()
                self._check_shards()
            raise error from failure

    def _check_shards(self) -> None:
        """Return if the index has its data. Some requests otherwise wait for the data and get no answer at all.

        Raise RequestError if it has not.
        """
        try:
            self.writer.options(request_timeout=ASK_SECONDS, max_retries=0).count(index=self.name)
        except self.cluster.client_errors as failure:
            error = self.cluster.error_for(failure, needs=self._needs, index=self.name)
            if isinstance(error, RequestError):
                raise error from failure

    def _check_really_missing(self) -> None:
        """Return if the index really does not exist. An Elasticsearch that has just started knows no index.

        Raise RequestError, with a status in PASSING, if it is still starting.
        """
        self.cluster.check_recovered()
        with self.cluster.errors():
            exists_now = self.writer.indices.exists(index=self.name)
        if exists_now:
            raise RequestError(f"Elasticsearch has only now come to know '{self.name}'. Try again.", status=503)


def _has_lost_node(answer: Mapping[str, Any]) -> bool:
    """Return whether a shard did not answer because its node went away during the search."""
    failures = answer["_shards"].get("failures", ())
    return any(failure["reason"].get("type") in NODE_LOST for failure in failures)
