"""Whether an index has its shards and their copies on nodes that run, and waiting until it has them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from image_embeddings.errors import RequestError
from image_embeddings.es.connection import Cluster
from image_embeddings.es.refusals import ASK_WHY

COPY_SECONDS = 1800.0  # that copies are waited for, at most; searches are right without them
LOOK_SECONDS = 5  # that Elasticsearch waits for them in each request


@dataclass(frozen=True, kw_only=True)
class IndexHealth:
    """What Elasticsearch says of the shards of an index: `status` is green, yellow or red, as in its API."""

    status: str
    nodes: int  # that run and hold data
    missing: int  # shards and copies that are on no node, or only on their way to one

    @property
    def is_whole(self) -> bool:
        """Whether all photos can be read."""
        return self.status != "red"

    def __str__(self) -> str:
        """Return the health as users read it."""
        nodes = "1 node runs" if self.nodes == 1 else f"{self.nodes} nodes run"
        if self.status == "green":
            return f"green: {nodes}, with all shards and copies"
        if self.status == "yellow":
            return f"yellow: {nodes}, with all photos; copies that are missing: {self.missing}"
        return f"red: {nodes}, and some photos are on none of them. {ASK_WHY}"


def read_health(cluster: Cluster, index: str) -> IndexHealth:
    """Return the health of the index at this moment. Raise ElasticsearchError if it cannot be asked for."""
    health = _health(cluster, index)
    return IndexHealth(status=health["status"], nodes=health["number_of_data_nodes"], missing=_count_missing(health))


def wait_for_copies(cluster: Cluster, index: str, *, notify: Callable[[str], object]) -> None:
    """Return when each shard of the index has its copies, or when no node makes one.

    `notify` is told once what is waited for, and what is still missing at the end.

    Raise RequestError, with a status in PASSING, if a shard itself is on no node.
    """
    deadline = time.monotonic() + COPY_SECONDS
    is_told = False
    while True:
        health = _health(cluster, index, wait_for_status="green", timeout=f"{LOOK_SECONDS}s")
        if health["status"] == "green":
            return
        if health["status"] == "red":
            raise RequestError(f"Some data of '{index}' is on no node that runs. {ASK_WHY}", status=503)
        missing = _count_missing(health)
        is_under_way = health["initializing_shards"] or health["delayed_unassigned_shards"]
        if not is_under_way or time.monotonic() > deadline:
            notify(
                f"{missing} copies of the new index are missing. It serves without them, and Elasticsearch makes them "
                "when it can: when there are nodes with room for them, or with INDEX_REPLICAS at fewer copies."
            )
            return
        if not is_told:
            notify(f"Waiting for {missing} copies of the new index, up to {COPY_SECONDS / 60:.0f} minutes …")
            is_told = True


def _health(cluster: Cluster, index: str, **options: Any) -> Any:
    """Return what Elasticsearch says of the health of the index. `options` are those of its API."""
    client = cluster.client.options(ignore_status=408)  # which says that what was waited for has not come yet
    with cluster.errors():
        return client.cluster.health(index=index, **options).body


def _count_missing(health: Any) -> int:
    """Return the number of shards and copies that cannot answer yet."""
    return int(health["unassigned_shards"] + health["initializing_shards"])
