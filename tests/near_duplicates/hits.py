"""Hits of pictures, as a search with `fold` finds them."""

import numpy as np
from PIL import Image

from image_embeddings.documents import ImageDocument
from image_embeddings.es.nearest import Hit
from image_embeddings.photos.fingerprint import fingerprint

EMBEDDING = np.array([1, 0], np.float32)  # of all hits unless a test says otherwise: it is the pictures that differ


def hit(name: str, image: Image.Image | None = None, *, embedding=EMBEDDING, **values) -> Hit:
    """Return a hit of an image, or of a photo without a fingerprint."""
    known = {"width": 40, "height": 30, "bytes": 1, "mtime_ns": 0, "content_hash": name}
    if image:
        known |= {"width": image.width, "height": image.height, "fingerprint": fingerprint(image)}
    return Hit(rank=1, score=0.8, document=ImageDocument(image_id=name, **{**known, **values}), embedding=embedding)


def folded(hits) -> dict[str, list[str]]:
    """Return the name of each hit that others are folded under, with the names of these."""
    return {hit.image_id: [inner.image_id for inner in hit.folded] for hit in hits if hit.folded}
