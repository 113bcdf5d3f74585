"""What a photo looks like, in a few bytes: a preview to show while it loads, a fingerprint to tell near-duplicates."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

PREVIEW_SIDE = 12  # pixels of the longer side
PREVIEW_QUALITY = 20
SAME_LOOK = 4  # bits of 64 by which fingerprints of the same picture, saved or scaled differently, were seen to differ


def preview(image: Image.Image) -> str:
    """A tiny WebP of an RGB image, in base64: about 100 characters."""
    small = image.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BOX)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=PREVIEW_QUALITY, method=2)
    return base64.b64encode(buffer.getvalue()).decode()


def fingerprint(image: Image.Image) -> str:
    """64 bits, in hexadecimal: which of two neighbouring fields is the brighter one, in a grid of 9 by 8 fields.

    Known as dHash: https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
    """
    grid = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return np.packbits(grid[:, 1:] > grid[:, :-1]).tobytes().hex()


def look_the_same(one: str | None, other: str | None) -> bool:
    """Whether two fingerprints are those of near-duplicates; False where one is not known."""
    return bool(one and other) and (int(one or "0", 16) ^ int(other or "0", 16)).bit_count() <= SAME_LOOK
