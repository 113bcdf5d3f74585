"""Folding near-duplicates: hits that look the same are put under the first of them."""

from collections.abc import Sequence
from dataclasses import replace

from image_embeddings.es.nearest import Hit

ALIKE = 0.02  # greatest difference of near-duplicates in similarity to the query, and in the ratio of width to height

# Greatest difference between fingerprints of one picture that was saved again, scaled, or made a little brighter: in
# bits of 64, and in levels of 256.
SAME_BITS = 4
SAME_COLOUR = 16


def fold_near_duplicates(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """Return the hits in their order, each with its near-duplicates among the later ones folded under it."""
    firsts: list[Hit] = []
    for hit in hits:
        place = next((place for place, first in enumerate(firsts) if _are_near_duplicates(first, hit)), None)
        if place is None:
            firsts.append(hit)
        else:
            firsts[place] = replace(firsts[place], folded=(*firsts[place].folded, hit))
    return tuple(firsts)


def _are_near_duplicates(one: Hit, other: Hit) -> bool:
    """Return whether two hits look the same, and have nearly the same shape and similarity to the query.

    Shape and similarity are checked too, because the fingerprints of different drawings on white are alike.
    """
    if one.document.content_hash == other.document.content_hash:
        return True
    similar = abs((one.similarity or 0) - (other.similarity or 0)) <= ALIKE
    shapes = [hit.document.width / max(1, hit.document.height) for hit in (one, other)]
    return (
        similar
        and abs(shapes[0] / max(shapes[1], 1e-9) - 1) <= ALIKE
        and look_the_same(one.document.fingerprint, other.document.fingerprint)
    )


def look_the_same(one: str | None, other: str | None) -> bool:
    """Return whether two fingerprints are those of near-duplicates. Return False if one is not known."""
    if not (one and other):
        return False
    bits = int(one[:16], 16) ^ int(other[:16], 16)
    colours = zip(bytes.fromhex(one[16:]), bytes.fromhex(other[16:]), strict=True)
    return bits.bit_count() <= SAME_BITS and all(abs(mine - its) <= SAME_COLOUR for mine, its in colours)
