"""Tell which hits really match, by what likeness is usual in the user's own index.

A kNN search always finds k photos, even if none matches. *Likeness* is the cosine of query and photo after the mean
photo is subtracted from the photo, and the mean of the query's kind from the query. *Spread* is its standard deviation
between everyday texts and photos of the index, or among these photos. *Level* is the likeness, in spreads, that fewer
than one of N unrelated photos is expected to reach. docs/cutoff.md has the method, its sources and the figures.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from image_embeddings.documents import JSON, Embedding, Embeddings

VERSION = 1
COHORT = 1_000  # so many random photos of the index are enough to calibrate it
FEWEST_PHOTOS = 20  # with fewer different photos, there is no verdict
FEWEST_TEXTS = 50
FALSE_ALARMS = 1.0  # number of unrelated photos, of the whole index, that are expected to reach the level
# Share of the index's own photos that may, as queries, get the verdict that no other photo matches. For some of them
# that is true. In the measurements of docs/cutoff.md, 3 to 5 % of the photos that do have a match got the verdict.
ALONE = 0.07
SUITS_ALL = 3.0  # if a text is nearer to all photos than everyday texts are, by more spreads than this, all match it
CANCELLED = 1e-3  # share of the longest part; if a combined query is shorter, it is only a rounding error
SAME = 1 - 1e-5  # cosine from which two photos are copies; rounding costs less than the difference to 1

Likeness = NDArray[np.float32]  # shape (n,), cosines of centred embeddings in [-1, 1]


class QueryKind(Enum):
    """The kind of a query. Texts and photos lie apart in the space of most models."""

    TEXT = "text"
    PHOTO = "photo"


@dataclass(frozen=True, kw_only=True)
class Background:
    """How near queries of one kind are to photos that are unrelated to them."""

    centre: Embedding  # mean embedding of such queries; not of unit length
    spread: float  # standard deviation of the likeness
    similarity_spread: float  # usual standard deviation of the plain cosines of one query and the photos
    mean_similarity: float  # mean plain cosine of such a query and a photo
    mean_similarity_spread: float  # standard deviation, over such queries, of their mean plain cosine to the photos


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What likeness is usual in one index, with its model. The index keeps it in the `_meta` of its mapping."""

    photos: int  # number of photos in the index when it was calibrated
    photo: Background
    text: Background | None = None  # None until somebody has encoded the everyday texts

    def background(self, kind: QueryKind) -> Background | None:
        """Return what is usual for queries of that kind, or None if it is not known."""
        return self.text if kind is QueryKind.TEXT else self.photo

    def level(self, kind: QueryKind, *, photos: int) -> float | None:
        """Return the likeness from which a photo really matches, or None if there can be no verdict.

        `photos` is the number of photos that are searched. For fewer than FEWEST_PHOTOS, the level is the one for
        FEWEST_PHOTOS: the best of three photos need not be like the query at all.
        """
        background = self.background(kind)
        return background.spread * expected_top(max(photos, FEWEST_PHOTOS)) if background else None

    def likeness(self, query: Embedding, hits: Embeddings, *, kind: QueryKind) -> Likeness | None:
        """Return the cosines of a query, shape (dims,), and photos, shape (n, dims), after centring: shape (n,).

        Return None if it is not known what is usual for queries of that kind.
        """
        background = self.background(kind)
        return _unit(hits - self.photo.centre) @ _unit(query - background.centre) if background else None

    def matches(self, query: Embedding, hits: Embeddings, *, kind: QueryKind, photos: int) -> NDArray[np.bool_] | None:
        """Return which hits really match, shape (n,), or None if there can be no verdict.

        If it is all False, nothing in the index matches. `hits` are the embeddings of the hits, shape (n, dims), and
        `photos` is the number of photos that were searched.
        """
        likeness, level = self.likeness(query, hits, kind=kind), self.level(kind, photos=photos)
        if likeness is None or level is None:
            return None
        if kind is QueryKind.TEXT and self.suits_all(query):
            return np.ones(len(hits), bool)
        return np.asarray(likeness >= level)

    def suits_all(self, query: Embedding) -> bool:
        """Return whether a text is so near to the photos on the whole that it describes what they have in common."""
        if self.text is None:
            return False
        beyond = float(query @ self.photo.centre) - self.text.mean_similarity
        return beyond > SUITS_ALL * self.text.mean_similarity_spread

    def combined(self, parts: Sequence[WeightedEmbedding]) -> Embedding:
        """Return one embedding that ranks photos by the weighted sum of the parts' z-scores, shape (dims,).

        So texts and photos count the same. A part's z-score is its cosine minus the mean, divided by the usual spread
        of its kind. The means can be left out, because they shift all photos alike. If one kind has no background, that
        of photos is used.

        Raise ValueError if there is no part, or if the parts cancel each other out.
        """
        spreads = [(self.background(part.kind) or self.photo).similarity_spread for part in parts]
        return weighted_sum(
            [part._replace(weight=part.weight / spread) for part, spread in zip(parts, spreads, strict=True)]
        )

    def is_of_same_photos(self, other: Calibration) -> bool:
        """Return whether both were made by one look at the photos, or one of them from the other."""
        return _background_json(self.photo) == _background_json(other.photo)

    def with_texts(self, texts: Embeddings, cohort: Embeddings) -> Calibration:
        """Return the same calibration with what is usual for texts. The arguments are those of `calibrate`."""
        return replace(self, text=_text_background(texts, _different(cohort)))

    def to_json(self) -> JSON:
        """Return the calibration as the index keeps it in `_meta`: about 3 KB at 512 dims."""
        text = _background_json(self.text) if self.text else None
        return {"version": VERSION, "photos": self.photos, "photo": _background_json(self.photo), "text": text}

    @staticmethod
    def from_json(body: Mapping[str, Any] | None) -> Calibration | None:
        """Return the calibration in the result of `to_json`, or None if there is none or another version made it."""
        if not body or body.get("version") != VERSION:
            return None
        text = _background_of(body["text"]) if body["text"] else None
        return Calibration(photos=body["photos"], photo=_background_of(body["photo"]), text=text)


class WeightedEmbedding(NamedTuple):
    """The embedding of a text or photo to search for. With a negative weight, hits are unlike it."""

    embedding: Embedding
    kind: QueryKind
    weight: float = 1.0


def weighted_sum(parts: Sequence[WeightedEmbedding]) -> Embedding:
    """Return the weighted sum of the parts, shape (dims,), scaled to unit length.

    Raise ValueError if there is no part, or if the parts cancel each other out.
    """
    weighed = [part.embedding * part.weight for part in parts]
    total = np.sum(weighed, axis=0)
    length = float(np.linalg.norm(total))
    if not weighed or length < CANCELLED * max(float(np.linalg.norm(part)) for part in weighed):
        raise ValueError("A combined query needs parts that do not cancel out.")
    return np.asarray(total / length, np.float32)


def calibrate(cohort: Embeddings, texts: Embeddings | None = None, *, photos: int) -> Calibration | None:
    """Return what likeness is usual in an index, or None if the index has fewer than FEWEST_PHOTOS different photos.

    `cohort` are the embeddings of up to COHORT random photos of the index, shape (n, dims), or of all if there are
    fewer. `texts` are the embeddings of `everyday_texts.everyday_texts()` by the same model, shape (m, dims), or None
    if it cannot encode texts. `photos` is the size of the index. Copies of a photo count once.
    """
    cohort = _different(cohort)
    if len(cohort) < FEWEST_PHOTOS:
        return None
    text = _text_background(texts, cohort) if texts is not None and len(texts) >= FEWEST_TEXTS else None
    return Calibration(photos=photos, photo=_photo_background(cohort), text=text)


def expected_top(photos: int) -> float:
    """Return the number of standard deviations that fewer than one of so many unrelated photos is expected to reach.

    This takes the likeness of unrelated things as normal. It is 1.6 for 20 photos, 2.5 for 150 and 4.3 for 100,000.
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
    """Return what is usual among the photos themselves. A photo is not compared with itself."""
    similarity = _others(cohort @ cohort.T)
    return Background(
        centre=cohort.mean(axis=0),
        spread=_photo_spread(_others(_like(cohort))),
        similarity_spread=float(np.sqrt(similarity.var(axis=1).mean())),
        mean_similarity=float(similarity.mean()),
        mean_similarity_spread=float(similarity.mean(axis=1).std()),
    )


def _photo_spread(likeness: Embeddings) -> float:
    """Return the spread of the photos' likeness to the others, shape (n, n - 1), with an upper bound.

    In an index of one subject, or of few, the nearest photos match, but stand out little. With the bound, the level is
    so low that all of these photos match another one, except a share of ALONE.
    """
    nearest = float(np.quantile(likeness.max(axis=1), ALONE))
    return min(float(likeness.std()), max(nearest, 0.0) / expected_top(len(likeness)))


def _like(cohort: Embeddings) -> Embeddings:
    centred = _unit(cohort - cohort.mean(axis=0))
    return centred @ centred.T


def _others(square: Embeddings) -> Embeddings:
    """Return the rows of a square matrix without its diagonal: (n, n) -> (n, n - 1)."""
    n = len(square)
    return square[~np.eye(n, dtype=bool)].reshape(n, n - 1)


def _different(embeddings: Embeddings) -> Embeddings:
    """Return the rows without those that are copies of earlier ones."""
    copies = np.triu(embeddings @ embeddings.T >= SAME, k=1).any(axis=0)
    return embeddings[~copies]


def _unit(rows: Embeddings) -> Embeddings:
    """Return the rows at unit length. An embedding exactly at the centre has no length, and stays zero."""
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
