"""The collections of a corpus: its top-level folders, its labels, or the values of a further column.

Pure functions, no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from image_embeddings.documents import JSON, ImageDocument
from image_embeddings.es.document_source import read_hits
from image_embeddings.es.filters import COLUMN_SEPARATOR, escape_pattern
from image_embeddings.es.queries import EMBEDDING, FINGERPRINT, by_date

FOLDER, LABEL, NONE = "folder", "label", "none"
COLUMN = "column:"  # the column's name follows
MAX_COLLECTIONS = 200  # the largest ones are listed
SHARD_COLLECTIONS = 1_000  # of each shard; if none has more, the counts are exact. Each is read with its examples
EXAMPLES = 4  # photos that are shown of each


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Photos that belong together."""

    name: str
    count: int
    examples: tuple[ImageDocument, ...]  # the latest photos


@dataclass(frozen=True, kw_only=True)
class Collections:
    """The collections of an index, the largest first."""

    by: str  # value of the setting COLLECTIONS
    total: int  # photos in the index; some may be in no collection
    found: tuple[Collection, ...]
    left_out: tuple[str, ...] = ()  # `_id`s of examples that this program did not write
    filter_name: str = field(init=False)  # name of the filter that limits a search to one of them
    value_prefix: str = field(init=False)  # text before a collection's name in a value of that filter

    def __post_init__(self) -> None:
        """Set the filter's name and prefix from `by`."""
        name, _, column = self.by.partition(":")
        object.__setattr__(self, "filter_name", name)
        object.__setattr__(self, "value_prefix", f"{column}=" if column else "")


def collections_search(by: str) -> JSON:
    """Return the body of a search for all collections with their counts and examples, in one aggregation."""
    newest = {"size": EXAMPLES, "sort": by_date(), "_source": {"excludes": [EMBEDDING, FINGERPRINT]}}
    terms = {**_terms(by), "size": MAX_COLLECTIONS, "shard_size": SHARD_COLLECTIONS}
    aggs = {"collections": {"terms": terms, "aggs": {"examples": {"top_hits": newest}}}}
    return {"size": 0, "track_total_hits": True, "aggs": aggs}


def collections_of(answer: Mapping[str, Any], by: str) -> Collections:
    """Return the collections in the answer to `collections_search`."""
    buckets = answer["aggregations"]["collections"]["buckets"]
    before_name = _column_prefix(by) if by.startswith(COLUMN) else ""
    examples = [read_hits(bucket["examples"]["hits"]["hits"]) for bucket in buckets]
    return Collections(
        by=by,
        total=answer["hits"]["total"]["value"],
        found=tuple(
            Collection(
                name=bucket["key"].removeprefix(before_name),
                count=bucket["doc_count"],
                examples=tuple(documents.values()),
            )
            for bucket, (documents, _) in zip(buckets, examples, strict=True)
        ),
        left_out=tuple(foreign for _, found in examples for foreign in found),
    )


def _terms(by: str) -> JSON:
    if by == FOLDER:
        return {"field": "folders", "include": "[^/]+"}
    if by == LABEL:
        return {"field": "label"}
    return {"field": "columns", "include": escape_pattern(_column_prefix(by)) + ".*"}


def _column_prefix(by: str) -> str:
    return by.removeprefix(COLUMN) + COLUMN_SEPARATOR
