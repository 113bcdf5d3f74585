"""The requests to one index: its name, its connection, and the errors of Elasticsearch in our words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from image_embeddings.documents import JSON
from image_embeddings.errors import PASSING, IndexMissingError, RequestError
from image_embeddings.es.connection import Cluster

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch


class IndexClient:
    """What speaks to Elasticsearch about one index; `ImageIndex`, `Documents` and `Nearest` share it.

    `name` is that of the index or of an alias that stands for it.
    """

    def __init__(self, cluster: Cluster, *, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.writer: Elasticsearch = cluster.client
        # A search that runs while a rebuild takes the place of the index is refused with 503. The client repeats it.
        self.reader: Elasticsearch = cluster.client.options(retry_on_status=PASSING)

    def search(self, body: JSON, *, client: Elasticsearch | None = None, **parameters: Any) -> Mapping[str, Any]:
        """Return the answer to a search, sent by `reader` unless another `client` is given.

        `parameters` go into the address of the request. Raise errors as `errors` does.
        """
        with self.errors():
            answer = (client or self.reader).search(index=self.name, body=body, **parameters)
        result: Mapping[str, Any] = answer.body
        return result

    def refresh(self) -> None:
        """Make everything that has been written visible to searches."""
        with self.errors():
            self.writer.indices.refresh(index=self.name)

    def count(self) -> int:
        """Return the number of photos in the index."""
        with self.errors():
            return int(self.reader.count(index=self.name)["count"])

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the client library raises into our errors, each with a remedy.

        Raise IndexMissingError if there is no such index, and an ElasticsearchError for all else.
        """
        try:
            with self.cluster.errors(
                needs=f"the index privileges 'all' on '{self.name}*' and the cluster privilege 'monitor'"
            ):
                yield
        except RequestError as error:
            if error.kind == "index_not_found_exception":
                self._check_really_missing()
                raise IndexMissingError(
                    f"There is no index '{self.name}' yet. Index your photos first: python -m image_embeddings index"
                ) from error
            raise

    def _check_really_missing(self) -> None:
        """Return if the index does not exist. An Elasticsearch that has just started knows none of its indices.

        Raise RequestError, of a kind that passes, if it is still starting.
        """
        self.cluster.check_recovered()
        with self.cluster.errors():
            exists_now = self.writer.indices.exists(index=self.name)
        if exists_now:
            raise RequestError(f"Elasticsearch has only now come to know '{self.name}'. Try again.", status=503)
