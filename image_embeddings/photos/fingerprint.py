"""The fingerprint of a picture: a tiny copy of it, by which near-duplicates are told from other photos."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

SIDE = 48  # pixels: with fewer, pages of text look like one another; with more, frames of a burst look different
QUALITY = 50  # of WebP
LEAST_RANGE = 32  # levels of 256: a picture with fewer is not stretched to all levels, because it would be only noise


def fingerprint(image: Image.Image) -> str:
    """Return a WebP of SIDE × SIDE pixels of an RGB image in base64, of about 600 characters.

    The whole picture is in it, whatever its shape. Its levels are stretched, so that dark pictures keep their details.
    """
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    lowest, highest = float(pixels.min()), float(pixels.max())
    stretched = (pixels - lowest) * (255 / max(highest - lowest, LEAST_RANGE))
    buffer = BytesIO()
    Image.fromarray(stretched.astype(np.uint8)).save(buffer, "WEBP", quality=QUALITY, method=4)
    return base64.b64encode(buffer.getvalue()).decode()
