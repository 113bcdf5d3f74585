"""Folding near-duplicates: hits that show the same picture are put under the first of them.

Two pictures are the same if one can be moved onto the other so that nothing is left over. docs/near-duplicates.md has
the method and the figures by which the limits were chosen.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_embeddings.es.nearest import Hit
from image_embeddings.photos.fingerprint import SIDE

Grid = NDArray[np.float32]  # brightness, shape (side, side)
Mask = NDArray[np.bool_]
Movement = NDArray[np.float32]  # shape (2, 3): an affine map of points, which go from -1 to 1 in both directions

# What near-duplicates have at least or at most
LEAST_COSINE = 0.6  # of their embeddings
LARGEST_STRETCH = 0.15  # natural logarithm of the quotient of their ratios of width to height
LEAST_ROUGH = 0.6  # correlation of brightness in few fields, before one picture is moved
LEAST_CONTRAST = 5.0  # levels of 256, the spread of a picture's brightness: with less there is nothing to compare
LARGEST_MOVEMENT = 0.25  # where 2 is the whole width
LEAST_SHARED = 0.75  # share of the picture that is in both
LEAST_DETAIL = 0.6  # correlation of what is finer than a blur
LARGEST_REMAINDER = 0.7  # greatest difference at one place, where 1 is the spread of the brightness
LARGEST_COLOUR = 0.4  # difference of colour, where 1 is all colour there is

PICTURES_KEPT = 1_000  # 12 kB each: people look at a page again, and at further pages
_WEBP = base64.b64encode(b"RIFF").decode()[:5]  # fingerprints begin so; those of older versions do not
_EDGE = 0.84  # points farther out are not used to find the movement: they may be missing in the other picture
_WHITE = 250  # levels, from which nothing brighter can be told
_LEAST_INNER = 0.2  # share of the picture that is not white, by which the brightness of two pictures is compared
_STEPS = 3  # towards the movement, at each of two sizes
_LARGEST_STEP = 0.3


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """The tiny copy of a photo, from its fingerprint."""

    brightness: Grid  # levels from 0 to 255
    colour: NDArray[np.float32]  # shape (2, side / 4, side / 4): blue and red difference, 0 for grey
    rough: NDArray[np.float32]  # shape (side² / 16,): the brightness in few fields as a unit vector around its mean


def fold_near_duplicates(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """Return the hits in their order, each with its near-duplicates among the later ones folded under it.

    Hits of the same bytes are near-duplicates in any case. Others need embeddings and fingerprints. A content hash that
    was not one is empty, and says nothing.
    """
    pictures = _read_pictures(hits)
    may_be_same = _may_be_same(hits, pictures).tolist()
    hashes = [hit.document.content_hash for hit in hits]
    firsts: list[int] = []
    folded: dict[int, list[Hit]] = {}
    for number, hit in enumerate(hits):
        for first in firsts:
            if hashes[number] == hashes[first] != "" or (
                may_be_same[first][number] and _show_the_same(hits, pictures, first, number)
            ):
                folded[first].append(hit)
                break
        else:
            firsts.append(number)
            folded[number] = []
    return tuple(
        replace(hits[first], folded=tuple(folded[first])) if folded[first] else hits[first] for first in firsts
    )


def _read_pictures(hits: Sequence[Hit]) -> list[_Picture | None]:
    return [None if hit.embedding is None else _read(hit.document.fingerprint) for hit in hits]


@lru_cache(PICTURES_KEPT)
def _read(fingerprint: str | None) -> _Picture | None:
    """Return the picture in a fingerprint, or None if there is none or if it has too little contrast.

    Others may have written the fingerprint, so it need not be a picture.
    """
    if not (fingerprint and fingerprint.startswith(_WEBP)):
        return None
    try:
        with Image.open(BytesIO(base64.b64decode(fingerprint)), formats=("WEBP",)) as image:
            if image.size != (SIDE, SIDE):
                return None
            bands = np.asarray(image.convert("YCbCr"), np.float32)
    except (OSError, ValueError):
        return None
    brightness = bands[..., 0]
    if float(brightness.std()) < LEAST_CONTRAST:
        return None
    colour = np.stack([_halve(_halve(bands[..., band] - 128)) for band in (1, 2)])
    return _Picture(brightness=brightness, colour=colour, rough=_rough(brightness))


def _may_be_same(hits: Sequence[Hit], pictures: Sequence[_Picture | None]) -> Mask:
    """Return for each pair of hits whether it is worth a closer look, shape (n, n)."""
    may = np.zeros((len(hits), len(hits)), np.bool_)
    known = [number for number, picture in enumerate(pictures) if picture]
    if not known:
        return may
    embeddings = np.stack([np.asarray(hits[number].embedding, np.float32) for number in known])
    shapes = np.array([math.log(_ratio(hits[number])) for number in known])
    rough = np.stack([picture.rough for picture in pictures if picture])
    may[np.ix_(known, known)] = (
        (embeddings @ embeddings.T >= LEAST_COSINE)
        & (np.abs(shapes[:, None] - shapes) <= LARGEST_STRETCH)
        & (rough @ rough.T >= LEAST_ROUGH)
    )
    return may


def _ratio(hit: Hit) -> float:
    return max(1, hit.document.width) / max(1, hit.document.height)


def _rough(brightness: Grid) -> NDArray[np.float32]:
    fields = _halve(_halve(brightness)).ravel()
    fields = fields - fields.mean()
    return np.asarray(fields / max(float(np.linalg.norm(fields)), 1e-6), np.float32)


def _show_the_same(hits: Sequence[Hit], pictures: Sequence[_Picture | None], first: int, number: int) -> bool:
    """Return whether two hits show the same picture, whichever of them comes first."""
    by_name = sorted((first, number), key=lambda place: hits[place].document.content_hash)
    one, other = (pictures[place] for place in by_name)
    return one is not None and other is not None and _are_same(one, other)


def _are_same(one: _Picture, other: _Picture) -> bool:
    if _difference_of_colour(one, other) > LARGEST_COLOUR:
        return False
    target = one.brightness
    movement = _find_movement(target, other.brightness)
    moved, shared = _move(other.brightness, movement)
    if np.abs(movement - _STILL).max() > LARGEST_MOVEMENT or shared.mean() < LEAST_SHARED:
        return False
    return (
        _correlation(_detail(moved)[shared], _detail(target)[shared]) >= LEAST_DETAIL
        and _remainder(target, moved, shared) <= LARGEST_REMAINDER
    )


def _difference_of_colour(one: _Picture, other: _Picture) -> float:
    """Return 0 for the same colours, 1 and more for others. Faint colours count less."""
    strongest = np.maximum(*(np.hypot(*picture.colour) for picture in (one, other)))
    return float(np.hypot(*(one.colour - other.colour)).sum() / (strongest + 4).sum())


def _remainder(target: Grid, moved: Grid, shared: Mask) -> float:
    """Return the greatest difference at one place that neither brightness nor contrast of the whole explains.

    If one picture was made brighter, its lightest parts are all white. So the darker one is made brighter, too.
    """
    inner = shared & (np.maximum(target, moved) < _WHITE)
    inner = inner if inner.sum() >= shared.sum() * _LEAST_INNER else shared
    gain = float(target[inner].std()) / max(float(moved[inner].std()), 1e-6)
    offset = float(target[inner].mean()) - gain * float(moved[inner].mean())
    brighter = target - np.minimum(gain * moved + offset, 255)
    darker = moved - np.minimum((target - offset) / max(gain, 1e-6), 255)
    peaks = (float(np.abs(_blur(_blur(np.where(shared, left, 0)))).max()) for left in (brighter, darker))
    return min(peaks) / max(min(float(target[shared].std()), float(moved[shared].std())), 1e-6)


def _correlation(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / max(math.sqrt(float((x * x).sum() * (y * y).sum())), 1e-6))


def _detail(grid: Grid) -> Grid:
    return grid - _blur(_blur(grid))


def _blur(grid: Grid) -> Grid:
    padded = np.pad(grid, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return np.asarray((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16, np.float32)


def _halve(grid: Grid) -> Grid:
    return np.asarray((grid[::2, ::2] + grid[1::2, ::2] + grid[::2, 1::2] + grid[1::2, 1::2]) / 4, np.float32)


_STILL: Movement = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def _find_movement(target: Grid, grid: Grid) -> Movement:
    """Return the movement after which `grid` is most like `target`, up to brightness and contrast.

    The method is that of Lucas and Kanade, in its inverse compositional form (Baker and Matthews 2004,
    https://doi.org/10.1023/B:VISI.0000011205.11775.fd): first roughly, at half the size, then at the full one.
    """
    target, grid = _blur(target), _blur(grid)
    movement = _approach(_halve(target), _halve(grid), _STILL)
    return _approach(target, grid, movement)


def _approach(target: Grid, grid: Grid, movement: Movement) -> Movement:
    side = len(target)
    points, inner = _points(side)
    x, y = points[0][inner.ravel()], points[1][inner.ravel()]
    down, across = (np.asarray(slope)[inner] * (side / 2) for slope in np.gradient(target))
    columns = [target[inner], np.ones_like(x), across, across * x, across * y, down, down * x, down * y]
    effects = np.stack(columns, axis=1)
    squares = effects.T @ effects
    # A little damping, because in a picture of stripes some movements have no effect.
    squares[np.diag_indices(8)] += np.array([1e-3, 1e-3] + [1e-4 * np.trace(squares) / 8] * 6)
    solve = np.linalg.solve(squares, effects.T)
    for _ in range(_STEPS):
        gain, _, *step = solve @ _move(grid, movement)[0][inner]
        dx, xx, xy, dy, yx, yy = (float(np.clip(s / max(gain, 0.2), -_LARGEST_STEP, _LARGEST_STEP)) for s in step)
        back = np.linalg.inv(np.array([[1 + xx, xy, dx], [yx, 1 + yy, dy], [0, 0, 1]]))
        movement = np.asarray((np.vstack([movement, [0, 0, 1]]) @ back)[:2].clip(-1.5, 1.5), np.float32)
    return movement


@cache
def _points(side: int) -> tuple[NDArray[np.float32], Mask]:
    """Return the points of a grid, shape (3, side²), the last row of ones; and which of them are not at the edge."""
    line = (np.arange(side, dtype=np.float32) * 2 + 1) / side - 1
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel(), np.ones(side * side, np.float32)]), (np.abs(x) < _EDGE) & (np.abs(y) < _EDGE)


def _move(grid: Grid, movement: Movement) -> tuple[Grid, Mask]:
    """Return the grid as seen from the moved points, and which of these points are inside it."""
    side = len(grid)
    places = movement @ _points(side)[0]
    inside = (np.abs(places) <= 1).all(axis=0).reshape(side, side)
    across, down = (((places + 1) * side - 1) / 2).clip(0, side - 1.001)
    column, row = across.astype(np.intp), down.astype(np.intp)
    right, lower = across - column, down - row
    at, values = row * side + column, grid.ravel()
    upper_row = values[at] * (1 - right) + values[at + 1] * right
    lower_row = values[at + side] * (1 - right) + values[at + side + 1] * right
    return np.asarray(upper_row * (1 - lower) + lower_row * lower, np.float32).reshape(side, side), inside
