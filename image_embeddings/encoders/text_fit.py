"""A test of whether a text model belongs to the space of an image model, on pairs of photos and captions.

Both sides are centred and whitened. Then the similarity of the true pairs is compared with that of all other pairs, in
standard errors. Chance gives a normal variable with mean 0 and deviation 1. docs/models.md explains why ranks are no
such test and gives the values seen; tests/encoders/test_text_fit.py checks it on seeded draws.
"""

import numpy as np
from numpy.typing import NDArray

from image_embeddings.documents import Embeddings

ALIGNED = 6.0  # standard errors: a normal variable exceeds this once in 10^9; the right text model exceeds it by far
FEWEST = 16  # pairs needed for a judgement
NEGLIGIBLE = 1e-3  # directions below this share of the strongest come from rounding, or from captions that say the same


Rows = NDArray[np.float64]


def alignment(texts: Embeddings, images: Embeddings) -> float:
    """Return how far text i and image i agree more than text i and image j, in standard errors; 0 is chance.

    Both arrays are (n, dims); each row has any length but zero. If the value is ALIGNED or more, both are of one space.
    """
    said, seen = _centred(texts), _centred(images)
    likeness = _whitening(said) @ said @ seen.T @ _whitening(seen)
    pairs = np.eye(len(likeness), dtype=bool)
    noise = likeness[~pairs].std() / np.sqrt(len(likeness))
    return float((likeness[pairs].mean() - likeness[~pairs].mean()) / noise) if noise else 0.0


def _centred(embeddings: Embeddings) -> Rows:
    rows = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True).astype(np.float64)
    return np.asarray(rows - rows.mean(axis=0), np.float64)


def _whitening(rows: Rows) -> Rows:
    """Return the root of the inverse of the Gram matrix of `rows`; it makes all directions of `rows` equally strong."""
    squares, directions = np.linalg.eigh(rows @ rows.T)
    kept = squares > max(NEGLIGIBLE**2 * squares[-1], np.finfo(np.float32).eps ** 2)
    return np.asarray(directions[:, kept] / np.sqrt(squares[kept]) @ directions[:, kept].T, np.float64)
