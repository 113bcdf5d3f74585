"""Which hits of a search really match; docs/cutoff.md says how that is told."""

from __future__ import annotations

import numpy as np

from image_embeddings.calibration.likeness import Calibration
from image_embeddings.search.attempt import Neighbours


def verdicts(neighbours: Neighbours, calibration: Calibration | None) -> list[bool | None]:
    """Return for each hit whether it matches everything that is wanted, or has the words; None: it cannot be told.

    It can be told if the index is calibrated for queries of this kind, and if the embeddings of query and hits were
    asked for.
    """
    hits = neighbours.raw.hits
    unknown: list[bool | None] = [None] * len(hits)
    embeddings = [hit.embedding for hit in hits if hit.embedding is not None]
    wanted = [target for target in neighbours.targets if target.weight > 0]
    if not calibration or not wanted or not hits or len(embeddings) < len(hits):
        return unknown
    matches_all = np.ones(len(hits), bool)
    for target in wanted:
        matches = calibration.matches(
            target.embedding, np.stack(embeddings), kind=target.kind, photos=neighbours.raw.matching
        )
        if matches is None:
            return unknown
        matches_all &= matches
    return [bool(matches) or hit.by_words for matches, hit in zip(matches_all, hits, strict=True)]
