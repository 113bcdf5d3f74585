"""Search for several texts and photos together."""

from __future__ import annotations

from collections.abc import Sequence

from image_embeddings.calibration.likeness import Calibration, QueryKind, WeightedEmbedding, weighted_sum
from image_embeddings.documents import Embedding
from image_embeddings.errors import QueryError
from image_embeddings.search.attempt import Attempt, Neighbours
from image_embeddings.search.request import Indexed, Part
from image_embeddings.text_model.choice import TextPath


def near_parts(parts: Sequence[Part], attempt: Attempt) -> Neighbours:
    """Return the photos nearest to all parts together, each by its weight.

    Texts that say nothing are left out, unless no other part is wanted.

    Raise QueryError if the parts cancel each other out, ImageNotFoundError if one of the photos is not in the index,
    and a ModelError if one cannot be encoded.
    """
    path: TextPath | None = None
    targets, meaningless = [], []
    for part in parts:
        kind = QueryKind.TEXT if isinstance(part.what, str) else QueryKind.PHOTO
        if isinstance(part.what, str):
            embedding, path = attempt.encode_text(part.what)
            if not attempt.understands(part.what, path):
                meaningless.append(WeightedEmbedding(embedding, kind, part.weight))
                continue
        elif isinstance(part.what, Indexed):
            with attempt.stopwatch.stage("search"):
                embedding = attempt.index.documents.embedding(part.what.image_id)
        else:
            embedding = attempt.opened.encode_image(part.what, attempt.stopwatch)
        targets.append(WeightedEmbedding(embedding, kind, part.weight))
    is_any_wanted = any(target.weight > 0 for target in targets)
    embedding = _combine(targets if is_any_wanted else [*targets, *meaningless], attempt.opened.state.calibration)
    return Neighbours(raw=attempt.search(embedding), targets=targets, path=path, understood=not meaningless)


def _combine(targets: Sequence[WeightedEmbedding], calibration: Calibration | None) -> Embedding:
    """Return one embedding for all parts. If the index is calibrated, texts and photos count the same."""
    try:
        return calibration.combined(targets) if calibration else weighted_sum(targets)
    except ValueError:
        raise QueryError("The parts of the query cancel each other out. Leave one out, or change a weight.") from None
