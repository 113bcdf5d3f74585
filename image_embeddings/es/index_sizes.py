"""How much memory and disk an index takes, as Elasticsearch tells."""

from __future__ import annotations

from dataclasses import dataclass

from image_embeddings.es.image_index import ImageIndex


@dataclass(frozen=True, kw_only=True)
class IndexSizes:
    """Sizes of an index in bytes, copies of shards included."""

    # Memory beside Java's heap in which a search is fast: the embeddings that are compared, and their graph. The full
    # embeddings of an index that shortens them are not counted. None: this Elasticsearch does not tell.
    memory: int | None
    disk: int


def read_sizes(index: ImageIndex) -> IndexSizes:
    """Return the sizes of an index. Raise an ElasticsearchError, or IndexMissingError, if they cannot be read."""
    off_heap = index.stats("dense_vector")["dense_vector"].get("off_heap")
    # The size in `_stats/store` may be ten seconds old (index.store.stats_refresh_interval). That of a segment is not.
    disk = sum(segment["size_in_bytes"] for segment in index.segments())
    return IndexSizes(memory=None if off_heap is None else _memory(off_heap), disk=disk)


def _memory(off_heap: dict[str, int]) -> int:
    """Return the bytes of the graph and of the embeddings in their shortest form."""
    compared = off_heap.get("total_veq_size_bytes", 0) + off_heap.get("total_veb_size_bytes", 0)
    return off_heap.get("total_vex_size_bytes", 0) + (compared or off_heap.get("total_vec_size_bytes", 0))
