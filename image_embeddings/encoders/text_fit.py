"""Whether a text model belongs to the space of an image model, seen from pairs of photos and captions.

Towers of the same dims but another space give cosines that look like any others; only their hits make no sense. Ranks
and similarities of the true pairs are a poor test of that: photos and captions of a few subjects fall into groups, and
where two unrelated spaces happen to turn one strong direction (animals against things, say) the same way, most captions
rank their photos high; turned the other way, low. With the sample photos, that alone moved the share of pairs ranked
rightly between 0.12 and 0.87 where 0.5 is chance.

So each side is centred and whitened first: every direction in which the texts differ counts once, however strong it is
(hubs and common directions count once, or not at all). What is left of a pair's similarity is how far the
*individual* text and photo point the same way, and the similarities of the other pairs are the noise that it is held
against. Between two spaces turned against each other at random, the result is normal with mean 0 and deviation 1,
whatever their spectra, and so it nearly is for towers that share axes, groups or hubs (tests/test_space.py).

Seen with the sample photos, 32 of them, where no CLIP model was at hand: 40 for the model conse, whose texts are weaker
than CLIP's, and 20 to 53 for 2,000 other draws of 32 from the 156; 6 to 17 where noise of three times its length is
added to every text embedding. Of 12,000 draws of unrelated towers none passed 4.8: texts of another real model of 512
dims (Universal Sentence Encoder), plain, with axes exchanged and with signs turned; conse's own with axes exchanged,
with captions shuffled, and with those of other photos. Half-related towers are another matter: with a random half of
the axes right and the others of the wrong sign, 2 of 100 passed 6. A tower of a neighbouring space may be let in;
one that is refused finds next to nothing by captions in any of their languages.
"""

import numpy as np
from numpy.typing import NDArray

from image_embeddings.documents import Embeddings

ALIGNED = 6.0  # standard errors: a normal variable is beyond them once in 10^9, and a right tower far beyond
FEWEST = 16  # pairs that can tell
NEGLIGIBLE = 1e-3  # directions weaker than this share of the strongest are rounding, or captions that say the same


Rows = NDArray[np.float64]


def alignment(texts: Embeddings, images: Embeddings) -> float:
    """How far text i and image i agree beyond text i and image j, in standard errors; 0 is chance.

    Both arrays are (n, dims), each row of any length but zero. ALIGNED or more: of one space.
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
    """What makes all directions that `rows` vary in equally strong: the root of the inverse of their Gram matrix."""
    squares, directions = np.linalg.eigh(rows @ rows.T)
    kept = squares > max(NEGLIGIBLE**2 * squares[-1], np.finfo(np.float32).eps ** 2)
    return np.asarray(directions[:, kept] / np.sqrt(squares[kept]) @ directions[:, kept].T, np.float64)
