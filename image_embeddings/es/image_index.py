"""Making, replacing, rebuilding and removing the Elasticsearch index of photos, and what it records about itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from image_embeddings.calibration.likeness import Calibration
from image_embeddings.documents import FORMAT, JSON, ModelInfo
from image_embeddings.errors import BlockedError, IndexForeignError, IndexMissingError, IndexTemplateError, RequestError
from image_embeddings.es import mapping
from image_embeddings.es.connection import Cluster
from image_embeddings.es.copies import wait_for_copies
from image_embeddings.es.documents import Documents
from image_embeddings.es.fence import Fence
from image_embeddings.es.index_client import IndexClient
from image_embeddings.es.made_index import foreign_parts
from image_embeddings.es.nearest import Nearest
from image_embeddings.es.refusals import template_advice

REBUILD_SUFFIX = "-rebuild"
WRITE_SUFFIX = "-write"  # of the alias that ends with the index
# A write without a fence raises the version of a document by one. So numbers of later fences stay above the versions.
FENCES_A_SECOND = 1000
UNBLOCKED = dict.fromkeys(("index.blocks.read_only", "index.blocks.metadata"))  # None removes a setting
ALLOCATION_SECONDS = 5  # if no node has taken a new index by then, Elasticsearch is asked for the reason


@dataclass(frozen=True, kw_only=True)
class IndexState:
    """What an index was built with, and the indexing run that is in progress, if there is one."""

    backing_index: str
    model: ModelInfo
    corpus: str | None = None  # the folder that was indexed last
    # {"done": n, "total": n, "updated": seconds since the epoch, "stopped": whether the user has stopped it}
    indexing: JSON | None = None
    oldest_format: int = FORMAT  # no document has an older format than this
    calibration: Calibration | None = None  # what likeness is usual in the index
    vector_index_type: str = ""  # how Elasticsearch keeps the embeddings


class ImageIndex:
    """The index of photos under one name (an alias), on one Elasticsearch.

    `documents` writes and reads the documents of the photos, `nearest` searches them.
    """

    def __init__(self, cluster: Cluster, *, name: str, fence: Fence | None = None) -> None:
        self.cluster = cluster
        self.name = name
        self.fence = fence
        self._client = IndexClient(cluster, name=name)
        self.documents = Documents(self._client, fence=fence)
        self.nearest = Nearest(self._client, self.documents)

    def refresh(self) -> None:
        """Make everything that was written visible to searches."""
        self._client.refresh()

    def check_exists(self) -> None:
        """Return if the index exists. Raise IndexMissingError if it does not."""
        with self._client.errors():
            self._client.writer.indices.get_alias(index=self.name)

    def count(self) -> int:
        """Return the number of photos in the index."""
        return self._client.count()

    def stats(self, *metrics: str) -> Mapping[str, Any]:
        """Return Elasticsearch's counts for these metrics. They cover all shards and their copies."""
        with self._client.errors():
            answer = self._client.reader.indices.stats(index=self.name, metric=list(metrics)).body
        total: Mapping[str, Any] = answer["_all"]["total"]
        return total

    def segments(self) -> Iterator[Mapping[str, Any]]:
        """Yield Elasticsearch's description of each segment, for all shards and their copies."""
        with self._client.errors():
            answer = self._client.reader.indices.segments(index=self.name).body
        for backing_index in answer["indices"].values():
            for copies in backing_index["shards"].values():
                for copy in copies:
                    yield from copy["segments"].values()

    # What the index records about itself

    def state(self) -> IndexState:
        """Return what the index was built with.

        Raise IndexMissingError if there is no index of that name, IndexForeignError if this program did not make it,
        and IndexTemplateError if it does not store documents.
        """
        backing_index, body = next(iter(self._mappings().items()))
        meta = body.get("_meta", {})
        model = mapping.model_of(meta)
        if model is None:
            raise IndexForeignError(
                f"The index '{self.name}' was not made by this version of the program. "
                "Choose another INDEX_NAME, or replace it: index --delete-existing."
            )
        if not mapping.stores_documents(body):
            raise IndexTemplateError(
                f"The index '{backing_index}' does not store documents (_source). {template_advice(backing_index)} "
                "Then make the index anew: index --delete-existing"
            )
        return IndexState(
            backing_index=backing_index,
            model=model,
            corpus=meta.get("corpus"),
            indexing=meta.get("indexing"),
            oldest_format=meta.get("oldest_format", 1),
            calibration=Calibration.from_json(meta.get("calibration")),
            vector_index_type=mapping.vector_index_type_of(body),
        )

    def note_progress(self, state: IndexState, indexing: JSON | None) -> None:
        """Record in the mapping's `_meta` how far an indexing run is. None records that it has ended."""
        meta = mapping.meta(
            model=state.model,
            corpus=state.corpus,
            indexing=indexing,
            oldest_format=state.oldest_format,
            calibration=state.calibration.to_json() if state.calibration else None,
        )
        with self._client.errors():
            self._client.writer.indices.put_mapping(index=self.name, meta=meta, properties={})

    def note_calibration(self, state: IndexState) -> None:
        """Record the calibration of `state`, unless an indexing run is under way, or has calibrated the index anew."""
        index = self.at(state.backing_index)
        found = index.state()
        is_same = state.calibration and found.calibration and found.calibration.is_of_same_photos(state.calibration)
        if is_same and found.indexing is None:
            index.note_progress(replace(found, calibration=state.calibration), None)

    def bring_up_to_date(self) -> None:
        """Add the fields and settings of this version, if an older version made the index without them."""
        body = next(iter(self._mappings().values()))
        missing = mapping.missing_properties(body.get("properties", {}))
        if missing:
            with self._client.errors():
                self._client.writer.indices.put_mapping(index=self.name, properties=missing)
        self._set_graph_settings(self.name)

    # Making and removing

    def create(
        self,
        *,
        model: ModelInfo,
        vector_index_type: str,
        corpus: str | None = None,
        shards: int = 1,
        replicas: int | None = None,
    ) -> IndexState:
        """Make a new, empty index for embeddings of `model`. It replaces an older one in one step.

        It has `shards` parts and `replicas` copies of each. None: one copy as soon as there is a second node.

        Raise IndexForeignError if the name is that of several indices, RequestError if Elasticsearch refuses the name
        or the mapping, or if no node has room, and IndexTemplateError if an index template of the cluster makes it
        another index. The older index then stays as it was.
        """
        copies = mapping.serving_copies(replicas)
        body = mapping.index_body(
            model=model, vector_index_type=vector_index_type, corpus=corpus, shards=shards, copies=copies
        )
        return self._make(self.name, body, model=model, corpus=corpus)

    def drop(self) -> None:
        """Remove the index with all its documents, if it exists.

        Raise IndexForeignError if the name is that of several indices.
        """
        for name in self._backing_indices():
            self._delete(name)

    def at(self, backing_index: str, *, fence: Fence | None = None) -> ImageIndex:
        """Return this index under its own name instead of the alias. Writes then never go into another index."""
        return type(self)(self.cluster, name=backing_index, fence=fence)

    def make_fence(self, backing_index: str) -> Fence:
        """Return the fence of a run that begins now. Runs that begin later have higher numbers."""
        alias = f"{backing_index}{WRITE_SUFFIX}"
        with self._client.errors():
            self._client.writer.indices.put_alias(index=backing_index, name=alias)
        return Fence(alias=alias, number=self.cluster.now() * FENCES_A_SECOND)

    # Rebuilding the index beside itself

    @property
    def rebuild(self) -> ImageIndex:
        """The index that is filled to replace this one. It has an alias of its own, and may not exist."""
        return type(self)(self.cluster, name=f"{self.name}{REBUILD_SUFFIX}")

    def begin_rebuild(
        self, *, model: ModelInfo, vector_index_type: str, corpus: str | None = None, shards: int = 1
    ) -> IndexState:
        """Make a new, empty index beside this one, under the name of `rebuild`. This one still answers searches.

        Until `finish_rebuild`, the new one has no copies, and what was written is found only after a refresh.

        Raise RequestError and IndexTemplateError as `create` does.
        """
        body = mapping.index_body(
            model=model, vector_index_type=vector_index_type, corpus=corpus, shards=shards, copies=mapping.FILLING
        )
        return self.rebuild._make(self.name, body, model=model, corpus=corpus)

    def finish_rebuild(
        self,
        backing_index: str,
        *,
        replicas: int | None = None,
        notify: Callable[[str], object] = lambda line: None,
    ) -> None:
        """Replace this index by the one behind `rebuild`, in one step, and remove this one.

        The new one first gets `replicas` copies (see `create`), and they are waited for. Elasticsearch may lack nodes
        for them: then it makes them when there are more. `notify` is told what is waited for, and what is missing at
        the end. A second call does no harm.

        Raise IndexMissingError if there is no such index, and RequestError, with a status in PASSING, if some of it is
        on no node.
        """
        settings = {"refresh_interval": None, **mapping.serving_copies(replicas)}  # None: Elasticsearch's default
        with self._client.errors():
            self._client.writer.indices.put_settings(index=backing_index, settings=settings)
        wait_for_copies(self.cluster, backing_index, notify=notify)
        end = {"remove": {"index": backing_index, "alias": self.rebuild.name}}
        self._point_alias_to(backing_index, replaced=self._backing_indices(), also=[end])

    # Requests

    def _set_graph_settings(self, index: str) -> None:
        """Set how graphs are searched, unless the operator has. Later versions may not know a setting any more."""
        for setting, (since, value) in mapping.GRAPH_SETTINGS.items():
            if self.cluster.server_version() < since:
                continue
            try:
                with self._client.errors():
                    self._client.writer.indices.put_settings(
                        index=index, settings={setting: value}, preserve_existing=True
                    )
            except RequestError as error:
                if "unknown setting" not in error.reason:
                    raise

    def _make(self, prefix: str, body: JSON, *, model: ModelInfo, corpus: str | None) -> IndexState:
        older = self._backing_indices()
        backing_index = f"{prefix}-{time.strftime('%Y%m%d%H%M%S')}-{time.time_ns() % 10**6:06}"
        if not older:  # in the same request, so that an interrupted run leaves no index without the alias
            body["aliases"] = {self.name: {"is_write_index": True}}
        try:
            with self._client.errors():
                answer = self._client.writer.indices.create(
                    index=backing_index, timeout=f"{ALLOCATION_SECONDS}s", **body
                )
            if not answer["shards_acknowledged"]:
                self._check_allocation(backing_index)
        except RequestError as error:
            # This kind means that the first answer was lost, and the client repeated the request.
            if error.kind != "resource_already_exists_exception":
                raise
        self._check_made(backing_index, body)
        self._set_graph_settings(backing_index)
        if older:
            try:
                self._point_alias_to(backing_index, replaced=older)
            except BlockedError:  # the older index cannot be removed, so the new one will not be used
                self._delete(backing_index)
                raise
        kind = mapping.vector_index_type_of(body["mappings"])
        return IndexState(backing_index=backing_index, model=model, corpus=corpus, vector_index_type=kind)

    def _check_made(self, backing_index: str, body: JSON) -> None:
        """Return if the new index is what `body` asked for. Else remove the index and raise IndexTemplateError."""
        with self._client.errors():
            found = self._client.writer.indices.get(index=backing_index).body[backing_index]
        if not (foreign := foreign_parts(found, body)):
            return
        with self._client.errors():
            self._client.writer.indices.put_settings(index=backing_index, settings=UNBLOCKED)
        self._delete(backing_index)
        raise IndexTemplateError(
            f"Elasticsearch gave the new index what it was not asked for, and with what photos could be lost or not be "
            f"found: {', '.join(foreign)}. {template_advice(backing_index)}"
        )

    def _check_allocation(self, backing_index: str) -> None:
        """Return if a node takes the new index, now or later. Else remove the index.

        Raise DiskFullError if the nodes lack room for it, and RequestError if no node may take it for another reason.
        """
        try:
            self.cluster.check_allocation(backing_index)
        except RequestError:
            self._delete(backing_index)
            raise

    def _point_alias_to(self, backing_index: str, *, replaced: Sequence[str], also: Sequence[JSON] = ()) -> None:
        """Point the alias to an index, and remove the indices that it replaces, in one step."""
        actions: list[JSON] = [{"remove_index": {"index": name}} for name in replaced if name != backing_index]
        actions.append({"add": {"index": backing_index, "alias": self.name, "is_write_index": True}})
        try:
            with self._client.errors():
                self._client.writer.indices.update_aliases(actions=[*actions, *also])
        except (IndexMissingError, RequestError):
            if self._backing_indices() != [backing_index]:  # if equal, only the first answer was lost
                raise

    def _delete(self, backing_index: str) -> None:
        with suppress(IndexMissingError), self._client.errors():
            self._client.writer.indices.delete(index=backing_index)

    def _backing_indices(self) -> list[str]:
        """Return the name of the one index behind the alias, or an empty list."""
        try:
            return list(self._mappings())
        except IndexMissingError:
            return []

    def _mappings(self) -> dict[str, Mapping[str, Any]]:
        """Return index name -> mapping, of the one index behind the alias."""
        with self._client.errors():
            answer = self._client.writer.indices.get_mapping(index=self.name).body
        if any(name.startswith(".ds-") for name in answer):
            raise IndexForeignError(f"'{self.name}' is a data stream. Choose another INDEX_NAME.")
        if len(answer) != 1:
            raise IndexForeignError(
                f"'{self.name}' stands for several indices: {', '.join(answer)}. Choose another INDEX_NAME."
            )
        return {name: body["mappings"] for name, body in answer.items()}
