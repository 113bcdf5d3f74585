"""Which hits really match: the level of likeness that photos which have nothing to do with a query do not reach.

A kNN search always finds its k nearest, matching or not, and their cosines alone do not tell: they lie elsewhere for
every model, for texts than for photos, and for one query than for another. Here they are held against what is usual in
the user's own index. No captions and no labels are needed. docs/cutoff.md has the reasons, the sources and the figures.

1. *Likeness*: the cosine of query and photo after the mean photo of the index has been taken from the photo, and from
   the query the mean of its own kind, photos or texts. What all photos share, what all texts share, and a query that is
   somewhat near to everything so no longer count; unrelated things lie around 0 in every model.
2. *Spread*: the standard deviation of the likeness between photos drawn from the index and everyday texts, and among
   those photos themselves.
3. *Level*: as many spreads as the nearest of N photos would reach whose likeness is normal noise: fewer than one of N
   is expected above it ("a contrario": Desolneux, Moisan and Morel, 2000). 2.5 spreads in 150 photos, 4.3 in 100,000.
4. For photos, no more than what all but a few (ALONE) of the index's own photos reach by their nearest other one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from image_embeddings.documents import JSON, Embedding, Embeddings

VERSION = 1
COHORT = 1_000  # photos drawn from the index that are enough to calibrate on
FEWEST_PHOTOS = 20  # different ones, below which nothing can be said
FEWEST_TEXTS = 50
FALSE_ALARMS = 1.0  # unrelated photos of the whole index that are expected to reach the level
# Share of the index's own photos that may be told, as queries, that no other one matches. Some of them have none: where
# that was measured, 3 to 5 % of the photos that do have a match were told so.
ALONE = 0.07
SUITS_ALL = 3.0  # spreads by which a text may be nearer to all photos than everyday ones are, before all match it
CANCELLED = 1e-3  # of the longest part; what is left of a combined query is rounding
SAME = 1 - 1e-5  # cosine of what are copies of one photo; rounding alone costs less

Likeness = NDArray[np.float32]  # shape (n,), cosines of centred embeddings in [-1, 1]


class QueryKind(Enum):
    """What a query is; texts and photos lie apart in the space of most models."""

    TEXT = "text"
    PHOTO = "photo"


@dataclass(frozen=True, kw_only=True)
class Background:
    """How near queries of one kind are to photos that they have nothing to do with."""

    centre: Embedding  # mean embedding of such queries; not of unit length
    spread: float  # of the likeness: its standard deviation
    similarity_spread: float  # of the plain cosine of one query to the photos: its standard deviation, the usual one
    mean_similarity: float  # plain cosine of query and mean photo: mean over such queries, and standard deviation
    mean_similarity_spread: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What is usual in one index, by one model; kept in the `_meta` of its mapping."""

    photos: int  # in the index when it was calibrated
    photo: Background
    text: Background | None = None  # None where no texts could be encoded

    def background(self, kind: QueryKind) -> Background | None:
        """What is usual for queries of that kind; None where it is not known."""
        return self.text if kind is QueryKind.TEXT else self.photo

    def level(self, kind: QueryKind, *, photos: int) -> float | None:
        """The likeness from which a photo really matches, where `photos` of them are searched; None: no verdict.

        Of a few photos it asks as much as of FEWEST_PHOTOS: the best of three is far from being alike for that.
        """
        background = self.background(kind)
        return background.spread * expected_top(max(photos, FEWEST_PHOTOS)) if background else None

    def likeness(self, query: Embedding, hits: Embeddings, *, kind: QueryKind) -> Likeness | None:
        """Cosines of a query, shape (dims,), and photos, (n, dims), after centring: shape (n,); None: not known."""
        background = self.background(kind)
        return _unit(hits - self.photo.centre) @ _unit(query - background.centre) if background else None

    def matches(self, query: Embedding, hits: Embeddings, *, kind: QueryKind, photos: int) -> NDArray[np.bool_] | None:
        """Which of the hits really match, shape (n,); none of them: nothing here does. None: no verdict.

        `hits` are their embeddings, shape (n, dims), `photos` the number of photos that were searched.
        """
        likeness, level = self.likeness(query, hits, kind=kind), self.level(kind, photos=photos)
        if likeness is None or level is None:
            return None
        if kind is QueryKind.TEXT and self.suits_all(query):
            return np.ones(len(hits), bool)
        return np.asarray(likeness >= level)

    def suits_all(self, query: Embedding) -> bool:
        """Whether a text is so near to the photos as a whole that it says what they have in common."""
        if self.text is None:
            return False
        beyond = float(query @ self.photo.centre) - self.text.mean_similarity
        return beyond > SUITS_ALL * self.text.mean_similarity_spread

    def combined(self, parts: Sequence[WeightedEmbedding]) -> Embedding:
        """One embedding that ranks photos by the weighted sum of the parts' z-scores, each part having the same say.

        A part's z-score is its cosine, less its mean, over the usual spread of its kind; the means only shift all
        photos alike. Parts of a kind without a background count as the other kind does.

        Raises:
            ValueError: there is no part, or they cancel out.
        """
        spreads = [(self.background(part.kind) or self.photo).similarity_spread for part in parts]
        return weighted_sum(
            [part._replace(weight=part.weight / spread) for part, spread in zip(parts, spreads, strict=True)]
        )

    def to_json(self) -> JSON:
        """As it is kept in `_meta`: about 3 KB at 512 dims."""
        text = _background_json(self.text) if self.text else None
        return {"version": VERSION, "photos": self.photos, "photo": _background_json(self.photo), "text": text}

    @staticmethod
    def from_json(body: Mapping[str, Any] | None) -> Calibration | None:
        """What `to_json` gave; None where there is nothing, or what another version made."""
        if not body or body.get("version") != VERSION:
            return None
        text = _background_of(body["text"]) if body["text"] else None
        return Calibration(photos=body["photos"], photo=_background_of(body["photo"]), text=text)


class WeightedEmbedding(NamedTuple):
    """The embedding of a text or photo that is searched for; a negative weight asks for photos unlike it."""

    embedding: Embedding
    kind: QueryKind
    weight: float = 1.0


def weighted_sum(parts: Sequence[WeightedEmbedding]) -> Embedding:
    """The sum of the parts by their weights, shape (dims,), of unit length.

    Raises:
        ValueError: there is no part, or they cancel out.
    """
    weighed = [part.embedding * part.weight for part in parts]
    total = np.sum(weighed, axis=0)
    length = float(np.linalg.norm(total))
    if not weighed or length < CANCELLED * max(float(np.linalg.norm(part)) for part in weighed):
        raise ValueError("A combined query needs parts that do not cancel out.")
    return np.asarray(total / length, np.float32)


def calibrate(cohort: Embeddings, texts: Embeddings | None = None, *, photos: int) -> Calibration | None:
    """What is usual in an index, from a random sample of its photos and everyday texts; None: too little to tell.

    `cohort` has shape (n, dims), up to COHORT rows, all photos of a smaller index; `texts` (m, dims) are
    `everyday_texts.everyday_texts()` by the same model, None where it cannot encode texts. `photos` is the size of the
    index. Copies of a photo count once.
    """
    cohort = _different(cohort)
    if len(cohort) < FEWEST_PHOTOS:
        return None
    text = _text_background(texts, cohort) if texts is not None and len(texts) >= FEWEST_TEXTS else None
    return Calibration(photos=photos, photo=_photo_background(cohort), text=text)


def expected_top(photos: int) -> float:
    """How many standard deviations the nearest of so many unrelated photos reaches: fewer than one is beyond.

    The likeness of unrelated things is taken as normal; 1.6 for 20 photos, 2.5 for 150, 4.3 for 100,000.
    """
    return -NormalDist().inv_cdf(FALSE_ALARMS / photos)


def _text_background(texts: Embeddings, cohort: Embeddings) -> Background:
    likeness = _unit(texts - texts.mean(axis=0)) @ _unit(cohort - cohort.mean(axis=0)).T
    similarity = texts @ cohort.T
    return Background(
        centre=texts.mean(axis=0),
        spread=float(likeness.std()),
        similarity_spread=float(np.sqrt(similarity.var(axis=1).mean())),
        mean_similarity=float(similarity.mean()),
        mean_similarity_spread=float(similarity.mean(axis=1).std()),
    )


def _photo_background(cohort: Embeddings) -> Background:
    """Among the photos themselves; a photo is no query for itself."""
    similarity = _others(cohort @ cohort.T)
    return Background(
        centre=cohort.mean(axis=0),
        spread=_photo_spread(_others(_like(cohort))),
        similarity_spread=float(np.sqrt(similarity.var(axis=1).mean())),
        mean_similarity=float(similarity.mean()),
        mean_similarity_spread=float(similarity.mean(axis=1).std()),
    )


def _photo_spread(likeness: Embeddings) -> float:
    """The spread of photos' likeness to the others, shape (n, n - 1), bounded by what is usual between neighbours.

    In an index of one subject, or of few, the nearest photos match and yet stand out little. At the level that follows
    from the bound, all but a share of ALONE of these photos match another.
    """
    nearest = float(np.quantile(likeness.max(axis=1), ALONE))
    return min(float(likeness.std()), max(nearest, 0.0) / expected_top(len(likeness)))


def _like(cohort: Embeddings) -> Embeddings:
    centred = _unit(cohort - cohort.mean(axis=0))
    return centred @ centred.T


def _others(square: Embeddings) -> Embeddings:
    """The rows of a square matrix without its diagonal: (n, n) -> (n, n - 1)."""
    n = len(square)
    return square[~np.eye(n, dtype=bool)].reshape(n, n - 1)


def _different(embeddings: Embeddings) -> Embeddings:
    """The rows without later copies of earlier ones."""
    copies = np.triu(embeddings @ embeddings.T >= SAME, k=1).any(axis=0)
    return embeddings[~copies]


def _unit(rows: Embeddings) -> Embeddings:
    """At unit length; what has no length, an embedding right at the centre, is like nothing."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).eps), np.float32)


def _background_json(background: Background) -> JSON:
    centre = base64.b64encode(background.centre.astype("<f2").tobytes()).decode()
    numbers = {name: round(getattr(background, name), 6) for name in _NUMBERS}
    return {"centre": centre, **numbers}


def _background_of(body: Mapping[str, Any]) -> Background:
    centre = np.frombuffer(base64.b64decode(body["centre"]), "<f2").astype(np.float32)
    return Background(centre=centre, **{name: float(body[name]) for name in _NUMBERS})


_NUMBERS = tuple(name for name in Background.__dataclass_fields__ if name != "centre")
