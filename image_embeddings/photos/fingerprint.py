"""The fingerprint of a picture, which is nearly the same for near-duplicates."""

import numpy as np
from PIL import Image


def fingerprint(image: Image.Image) -> str:
    """Return 64 bits and the mean colour of an RGB image as 22 hexadecimal digits.

    In a grid of 9 by 8 fields, each bit says whether a field is darker than the next one in its row. The bits are known
    as dHash: https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
    """
    grid = image.resize((9, 8), Image.Resampling.BOX)
    brightness = np.asarray(grid.convert("L"), np.int16)
    colour = np.asarray(grid).mean(axis=(0, 1)).astype(np.uint8)
    found: bytes = np.packbits(brightness[:, 1:] > brightness[:, :-1]).tobytes() + colour.tobytes()
    return found.hex()
