"""Which measure shows best whether anything matches? Each is used at the level at which 5 % of the matches are lost.

    python benchmarks/cutoff_methods.py    # more photos with: apt install tuxpaint-stamps-default

That level is found with the help of the captions, only for this comparison. Queries and indices are those of
benchmarks/cutoff.py. One column is for captions in an index without related folders. The other is for texts that
describe what no photo shows (`chosen on`). Each has the share that get the verdict that nothing matches, and the AUC.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from benchmarks.conse_quality import STAMPS, unit  # noqa: E402
from benchmarks.cutoff import Corpus, absent_texts, auc, best_hits, captions_found, corpora  # noqa: E402
from image_embeddings.calibration.everyday_texts import everyday_texts  # noqa: E402
from image_embeddings.encoders.conse import ConseEncoder  # noqa: E402

LOST = 0.05
SHARPNESS = 10  # inverse temperature of the softmax
Array = NDArray[np.float32]
Method = Callable[[Array, Array, Array], Array]  # queries, photos, everyday texts -> a score for each query and photo


def plain(queries: Array, photos: Array, everyday: Array) -> Array:
    """Return the plain cosine."""
    return queries @ photos.T


def less_mean(queries: Array, photos: Array, everyday: Array) -> Array:
    """Return the cosine minus the query's mean over the index."""
    similarity = queries @ photos.T
    return similarity - similarity.mean(axis=1, keepdims=True)


def t_norm(queries: Array, photos: Array, everyday: Array) -> Array:
    """Return the z-score of the cosine among those of the query and all photos."""
    return less_mean(queries, photos, everyday) / (queries @ photos.T).std(axis=1, keepdims=True)


def t_norm_robust(queries: Array, photos: Array, everyday: Array) -> Array:
    """Return the same as `t_norm`, but with median and median absolute deviation."""
    similarity = queries @ photos.T
    off = similarity - np.median(similarity, axis=1, keepdims=True)
    return off / np.median(np.abs(off), axis=1, keepdims=True)


def z_norm(queries: Array, photos: Array, everyday: Array) -> Array:
    """Return the z-score of the cosine against those of the photo and the everyday texts."""
    usual = everyday @ photos.T
    return (queries @ photos.T - usual.mean(axis=0)) / usual.std(axis=0)


def softmax(queries: Array, photos: Array, everyday: Array) -> Array:
    """Return the logarithm of the query's softmax share of a photo, against the everyday texts."""
    return SHARPNESS * queries @ photos.T - np.log(np.exp(SHARPNESS * everyday @ photos.T).sum(axis=0))


def likeness(queries: Array, photos: Array, everyday: Array) -> Array:
    """Return the cosine after the means of photos and of texts are subtracted, in spreads."""
    centred = unit(photos - photos.mean(axis=0)).T
    spread = (unit(everyday - everyday.mean(axis=0)) @ centred).std()
    return unit(queries - everyday.mean(axis=0)) @ centred / spread


METHODS: dict[str, Method] = {
    "plain cosine": plain,
    "less the query's mean": less_mean,
    "T-norm": t_norm,
    "T-norm, robust": t_norm_robust,
    "Z-norm": z_norm,
    "softmax": softmax,
    "likeness": likeness,
}


def main() -> None:
    """Print a table for each corpus."""
    encoder = ConseEncoder()
    everyday = encoder.encode_texts(everyday_texts())
    absent = encoder.encode_texts(absent_texts()["chosen_on"])
    for corpus in corpora(encoder, STAMPS):
        print(f"\n{corpus.title}\n{'':24} {'related out':>13} {'absent texts':>13}")
        found = captions_found(corpus)
        for name, method in METHODS.items():
            with_match = best(method, corpus.texts, corpus.photos, everyday)[found]
            others = without_related(method, corpus, everyday), best(method, absent, corpus.photos, everyday)
            level = np.quantile(with_match, LOST)
            cells = (f"{(other < level).mean():6.2f} {auc(with_match, other):6.2f}" for other in others)
            print(f"{name:24} " + " ".join(cells))


def best(method: Method, queries: Array, photos: Array, everyday: Array) -> Array:
    """Return the greatest score among the first hits of each query."""
    hits = best_hits(queries @ photos.T)
    return np.take_along_axis(method(queries, photos, everyday), hits, axis=1).max(axis=1)


def without_related(method: Method, corpus: Corpus, everyday: Array) -> Array:
    """Return the same for captions, each in an index without the folders related to that of its photo."""
    scores = np.empty(len(corpus.texts), np.float32)
    for kind in np.unique(corpus.kinds):
        asked = corpus.kinds[corpus.of] == kind
        scores[asked] = best(method, corpus.texts[asked], corpus.photos[corpus.kinds != kind], everyday)
    return scores


if __name__ == "__main__":
    main()
