"""What is made of the hits of a search once Elasticsearch has ranked them."""

from collections.abc import Sequence
from dataclasses import replace

from image_embeddings.documents import Hit
from image_embeddings.photos.fingerprint import look_the_same

ALIKE = 0.02  # similarity to the query, and share of width to height, by which near-duplicates differ at most


def folded(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """The hits in their order, each with its near-duplicates among the later ones folded under it."""
    firsts: list[Hit] = []
    for hit in hits:
        place = next((place for place, first in enumerate(firsts) if _are_near_duplicates(first, hit)), None)
        if place is None:
            firsts.append(hit)
        else:
            firsts[place] = replace(firsts[place], folded=(*firsts[place].folded, hit))
    return tuple(firsts)


def _are_near_duplicates(one: Hit, other: Hit) -> bool:
    """By what they look like, and as a check (drawings on white look alike) by shape and by the query's similarity."""
    if one.document.content_hash == other.document.content_hash:
        return True
    similar = abs((one.similarity or 0) - (other.similarity or 0)) <= ALIKE
    shapes = [hit.document.width / max(1, hit.document.height) for hit in (one, other)]
    return (
        similar
        and abs(shapes[0] / max(shapes[1], 1e-9) - 1) <= ALIKE
        and look_the_same(one.document.fingerprint, other.document.fingerprint)
    )
