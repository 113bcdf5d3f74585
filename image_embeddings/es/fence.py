"""The fence around the writes of one run among several machines."""

from __future__ import annotations

from dataclasses import dataclass

from image_embeddings.documents import JSON


@dataclass(frozen=True, kw_only=True)
class Fence:
    """Keeps out what a run writes too late: after its index was removed, or after a later run has written the photo.

    A process may be without power or network for a while, and then write what nobody waits for any more.
    """

    alias: str  # of the one index that the run writes into; Elasticsearch refuses what is written to it afterwards
    number: int  # of the run; later runs have higher numbers

    @property
    def version(self) -> JSON:
        """What each document to write says: it replaces no document that a later run has written."""
        return {"version": self.number, "version_type": "external_gte"}
