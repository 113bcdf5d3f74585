"""What a photo looks like, in a few bytes: a preview to show while it loads, a fingerprint to tell near-duplicates."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

PREVIEW_SIDE = 12  # pixels of the longer side
PREVIEW_QUALITY = 20
# By how much fingerprints of one picture differ, saved, scaled or brightened a little: bits of 64, and levels of 256.
SAME_BITS = 4
SAME_COLOUR = 16


def preview(image: Image.Image) -> str:
    """A tiny WebP of an RGB image, in base64: about 100 characters."""
    small = image.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BOX)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=PREVIEW_QUALITY, method=2)
    return base64.b64encode(buffer.getvalue()).decode()


def fingerprint(image: Image.Image) -> str:
    """64 bits and a mean colour, in hexadecimal: which of two neighbours is brighter, in a grid of 9 by 8 fields.

    The bits are known as dHash: https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
    """
    grid = image.resize((9, 8), Image.Resampling.BOX)
    brightness = np.asarray(grid.convert("L"), np.int16)
    colour = np.asarray(grid).mean(axis=(0, 1)).astype(np.uint8)
    found: bytes = np.packbits(brightness[:, 1:] > brightness[:, :-1]).tobytes() + colour.tobytes()
    return found.hex()


def look_the_same(one: str | None, other: str | None) -> bool:
    """Whether two fingerprints are those of near-duplicates; False where one is not known."""
    if not (one and other):
        return False
    bits = int(one[:16], 16) ^ int(other[:16], 16)
    colours = zip(bytes.fromhex(one[16:]), bytes.fromhex(other[16:]), strict=True)
    return bits.bit_count() <= SAME_BITS and all(abs(mine - its) <= SAME_COLOUR for mine, its in colours)
