"""What Pillow does not know of TIFF files: kinds that it mistakes or cannot read, and where libtiff writes."""

from __future__ import annotations

import ctypes
import logging
import struct
from contextlib import suppress
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image, TiffImagePlugin, _imaging

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _COLOUR_MAP, _EXTRA, _FORMAT = 258, 259, 262, 277, 320, 338, 339
_WHITE_IS_ZERO = 0
BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIG_IN_BIG_ENDIAN = b"MM\0+"  # which Pillow takes for a TIFF of the ordinary kind
_COLOURS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab", 10: "Lab"}
# What Pillow raises if directories are damaged.
_ERRORS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, RuntimeError, OverflowError, struct.error)
_FORMATS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}


@cache
def silence_libtiff() -> None:
    """Keep libtiff, and Pillow's logger, from writing errors to the terminal: they name no file, and are raised too."""
    logging.getLogger(TiffImagePlugin.__name__).addHandler(logging.NullHandler())
    with suppress(AttributeError, OSError):  # a Pillow without libtiff, or one that hides it
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def correct_colours(image: Image.Image) -> Image.Image:
    """Return a decoded TIFF with the colours that its tags mean: 16-bit negatives and colour maps of 8 bits."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return image
    if image.mode.startswith("I;16") and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return Image.fromarray(65535 - np.asarray(image).astype(np.uint16))
    colours = image.tag_v2.get(_COLOUR_MAP)
    if image.mode in ("P", "PA") and isinstance(colours, tuple) and 0 < max(colours) < 256:
        third = len(colours) // 3
        image.putpalette(bytes(colours[place + third * plane] for place in range(third) for plane in range(3)))
    return image


def describe_kind(data: bytes) -> str:
    """Return which kind of TIFF these bytes are, such as "a TIFF in RGB of 3 × 32 bits".

    It is empty for other files, and if the header is damaged.
    """
    if data[:4] not in BEGINNINGS:
        return ""
    try:
        is_big_endian = data.startswith(_BIG_IN_BIG_ENDIAN)
        header = b"II+\0" + data[4:16] if is_big_endian else data[: 16 if data[2:3] == b"+" else 8]
        tags = TiffImagePlugin.ImageFileDirectory_v2(header, prefix=data[:2])
        file = BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        if _PHOTOMETRIC not in tags:
            return ""
        colour = _COLOURS.get(tags.get(_PHOTOMETRIC, -1), "unusual colours")
        bits = tags.get(_BITS, (1,))
        samples = " ".join(filter(None, [_FORMATS.get(tags.get(_FORMAT, (1,))[0], ""), "samples"]))
        alpha = " and alpha" if _EXTRA in tags else ""
        compression = TiffImagePlugin.COMPRESSION_INFO.get(tags.get(_COMPRESSION, 1), "an unusual compression")
    except _ERRORS:
        return ""
    layout = ", in a big-endian BigTIFF" if is_big_endian else ""
    levels = " + ".join(map(str, bits[:8]))
    return f"a TIFF in {colour}{alpha} with {samples} of {levels} bits, compression {compression}{layout}"
