"""From a picture as it was decoded, in any of Pillow's modes, to a small RGB image in sRGB on white."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from image_embeddings.photos import colour

LONG_SIDE = 7168  # pixels that are kept at most, even if the photo is very thin
PALETTE_PIXELS = 16_000_000  # larger pictures are thinned out first: in RGB or RGBA a pixel takes 3 or 4 bytes


def to_resizable_mode(image: Image.Image) -> Image.Image:
    """Return the image in a mode that can be shrunk, which is not possible with palettes, single bits and 16 bits.

    Colours that are stored multiplied by alpha are divided again.
    """
    if image.mode in ("La", "RGBa"):
        return image.convert(image.mode[:-1] + "A")
    if image.mode in ("P", "PA", "1"):
        thinning = math.isqrt(max(1, image.width * image.height // PALETTE_PIXELS))
        if thinning > 1:
            size = (max(1, image.width // thinning), max(1, image.height // thinning))
            image = image.resize(size, Image.Resampling.NEAREST)
        if image.mode == "1":
            return image.convert("L")
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("I") if image.mode.startswith("I;16") else image


def shrink(image: Image.Image, short_side: int) -> Image.Image:
    """Return the image at a whole fraction of its size; its shorter side keeps at least `short_side` pixels."""
    factor = min(image.size) // short_side
    if factor > 1:
        image = image.reduce(factor)
    if max(image.size) > LONG_SIDE:
        size = (min(image.width, LONG_SIDE), min(image.height, LONG_SIDE))
        image = image.resize(size, Image.Resampling.BOX)
    return image


def to_rgb(
    image: Image.Image, *, icc_profile: bytes | None = None, points: colour.CodePoints | None = None
) -> tuple[Image.Image, Image.Image | None]:
    """Return an image in sRGB on white; and the same without its profile, or None if the profile changes nothing."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    alpha = None
    if image.has_transparency_data:
        grey = image.mode in ("L", "LA")
        image = image.convert("LA" if grey else "RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if grey else "RGB")
    unmanaged = image.convert("RGB")
    managed = colour.to_srgb(image, icc_profile=icc_profile, points=points)
    if managed is None:
        return _on_white(unmanaged, alpha), None
    managed.info.pop("icc_profile", None)  # nobody needs to be told sRGB
    return _on_white(managed, alpha), _on_white(unmanaged, alpha)


def _on_white(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if alpha is None:
        return image
    image = image.convert("RGBA")
    image.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def whiten_outside(image: Image.Image, frame: tuple[int, int, int, int], *, full: tuple[int, int]) -> Image.Image:
    """Return the image with white around `frame`, a box in pixels of the full size: the canvas of a GIF is empty."""
    across, down = image.width / full[0], image.height / full[1]
    box = round(frame[0] * across), round(frame[1] * down), round(frame[2] * across), round(frame[3] * down)
    white = Image.new("RGB", image.size, "white")
    white.paste(image.crop(box), box)
    return white


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return a 16-bit, 32-bit or float greyscale image, scaled to the range 0–255 (Pillow itself would clip it)."""
    pixels = np.asarray(image, np.float64)
    full = 65535 if image.mode.startswith("I") and pixels.max(initial=0) <= 65535 else pixels.max(initial=0)
    return Image.fromarray((pixels.clip(0) * (255 / max(full, 1e-9))).clip(0, 255).astype(np.uint8))
