"""The pixels that a CLIP network looks at: what the model's image processor makes of an image, in half the time.

An image processor of transformers resizes an image, takes the square in its middle, and computes each value of it in
several passes. All that it computes of a level from 0 to 255 is in a table here. The result is equal, bit by bit. If it
is not so for images of noise, the processor itself is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]  # of an image, shape (3, side, side), or of several, shape (n, 3, side, side)
Preprocess = Callable[[Image.Image], Pixels]

SHORTEST_SIDE = 4  # pixels
LONGEST_SHAPE = 16  # times the short side
_COMPARED_SIZES = ((333, 257), (251, 640), (97, 64))  # of the images of noise: smaller and larger than the square


def make_preprocess(processor: Any) -> Preprocess:
    """Return a function from an RGB image to the pixels that this image processor of transformers makes of it."""

    def by_processor(image: Image.Image) -> Pixels:
        return np.asarray(processor(image, return_tensors="pt").pixel_values[0], np.float32)

    by_table = _by_table(processor, by_processor)
    preprocess = by_table if by_table and _are_equal(by_table, by_processor) else by_processor
    return lambda image: preprocess(square_enough(image))


def square_enough(image: Image.Image) -> Image.Image:
    """Return the image in a shape that the processor can handle.

    The processor scales the short side to its own size, and looks at the square in the middle. For a very thin image
    that takes minutes, so such an image is cut to its middle first. The processor also takes a side of three pixels for
    the colour channels, so such a side is enlarged.
    """
    width, height = (min(side, LONGEST_SHAPE * min(image.size)) for side in image.size)
    if (width, height) != image.size:
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    size = (max(width, SHORTEST_SIDE), max(height, SHORTEST_SIDE))
    return image if size == image.size else image.resize(size, Image.Resampling.NEAREST)


def _by_table(processor: Any, by_processor: Preprocess) -> Preprocess | None:
    """Return the faster way; None if the processor has other settings than those of CLIP."""
    try:
        short, resample = processor.size["shortest_edge"], Image.Resampling(processor.resample)
        side = processor.crop_size["height"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    # An image of the size to which the processor resizes: the square in its middle has all levels.
    levels = np.add.outer(np.arange(short), np.arange(short)).astype(np.uint8)
    image = Image.fromarray(levels).convert("RGB")
    shown, made = _square(image, side), by_processor(image)
    if made.shape != (3, side, side) or len(np.unique(shown)) < 256:
        return None
    table = np.zeros((3, 256), np.float32)
    for channel in range(3):
        table[channel, shown[..., channel]] = made[channel]

    def preprocess(image: Image.Image) -> Pixels:
        width, height = image.size
        size = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
        square = _square(image.resize(size, resample), side)
        return np.stack([np.take(table[channel], square[..., channel]) for channel in range(3)])

    return preprocess


def _square(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """Return the square in the middle of an RGB image, shape (side, side, 3)."""
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)), np.uint8)


def _are_equal(one: Preprocess, other: Preprocess) -> bool:
    """Return whether both ways make the same of images of noise."""
    random = np.random.default_rng(0)
    noise = [
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)) for width, height in _COMPARED_SIZES
    ]
    return all(np.array_equal(one(image), other(image)) for image in noise)
