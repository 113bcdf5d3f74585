"""Colours: from the colour space that a file names to sRGB, which models, thumbnails and browsers expect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

TRANSFORMS_KEPT = 16  # the photos of a folder come from a few cameras and programs
SAME = 2  # levels of 255: a profile that changes no colour by more is sRGB by another name

_SPACE_OF_MODE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}

# What browsers and ImageMagick do by default. The numbers are those of ICC profiles, so the profile may choose its own
# way to fit colours into a smaller space.
_INTENT = ImageCms.Intent.PERCEPTUAL
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(
    image: Image.Image, *, icc_profile: bytes | None = None, points: CodePoints | None = None
) -> Image.Image | None:
    """Return an RGB image in sRGB of an image without alpha; None if the image is in sRGB already.

    The profile counts, and code points if there is no profile. A profile that is damaged, or is made for another kind
    of image, is left out: the image is then taken for sRGB.
    """
    if icc_profile:
        transform = _make_transform(icc_profile, image.mode) if image.mode in _SPACE_OF_MODE else None
        return transform.apply(image) if transform else None
    if points and not points.is_srgb:
        return _from_code_points(image.convert("RGB"), points)
    return None


@lru_cache(TRANSFORMS_KEPT)
def _make_transform(icc_profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from the profile to sRGB; None if the profile cannot be used, or is sRGB itself."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc_profile))
        if profile.profile.xcolor_space.strip() != _SPACE_OF_MODE[mode]:
            return None
        transform = ImageCms.ImageCmsTransform(profile, _srgb_profile(), mode, "RGB", _INTENT, flags=_FLAGS)
        return None if _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@cache
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether colours from the whole space stay as they are, by up to SAME levels."""
    if mode == "CMYK":
        return False
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    if mode == "L":
        sample = Image.fromarray(levels[None, :])
    else:
        sample = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(len(levels), -1, 3))
    before = np.asarray(sample.convert("RGB"), np.int16)
    return bool(np.abs(before - np.asarray(transform.apply(sample))).max() <= SAME)


# Colours by code points


@dataclass(frozen=True)
class CodePoints:
    """The colour space of an AVIF or HEIF picture without an ICC profile: numbers of ITU-T H.273."""

    primaries: int
    transfer: int

    @property
    def is_srgb(self) -> bool:
        """Whether the picture can be shown as it is. Old television standards are taken for sRGB, as browsers do."""
        return self.primaries not in _TO_SRGB_PRIMARIES and self.transfer not in _TO_LINEAR


# Linear light of these primaries -> linear light of sRGB. The white is D65 for all of them.
_DISPLAY_P3 = ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979))
_BT2020 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
_TO_SRGB_PRIMARIES = {9: _BT2020, 11: _DISPLAY_P3, 12: _DISPLAY_P3}

WHITE_NITS = 203  # the brightness of a white sheet in HDR pictures (ITU-R BT.2408)
_HLG_PEAK_NITS = 1000
_KNEE = 0.6  # share of white up to which brightness stays as it is; all brighter light is squeezed into the rest


def _from_code_points(image: Image.Image, points: CodePoints) -> Image.Image:
    """Return an RGB image with colours by code points as sRGB. HDR (PQ and HLG) is tone-mapped."""
    coded = np.asarray(image, np.uint8)
    linear = _TO_LINEAR.get(points.transfer, _srgb_to_linear)(np.arange(256) / 255).astype(np.float32)[coded]
    if points.transfer == _HLG:
        # The system's gamma of 1.2 depends on the luminance (ITU-R BT.2100).
        luminance = linear @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        linear *= (np.maximum(luminance, 1e-6) ** 0.2)[..., None] * (_HLG_PEAK_NITS / WHITE_NITS)
    matrix = _TO_SRGB_PRIMARIES.get(points.primaries)
    if matrix is not None:
        linear = linear @ np.array(matrix, np.float32).T
    if points.transfer in (_PQ, _HLG):
        linear = _tone_map(linear)
    return Image.fromarray((_linear_to_srgb(linear.clip(0, 1)) * 255 + 0.5).astype(np.uint8))


def _tone_map(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return light up to 1; the three channels shrink alike, so that the hue stays."""
    brightest = np.maximum(linear.max(axis=-1, keepdims=True), 1e-6)
    squeezed = _KNEE + (1 - _KNEE) * (1 - np.exp(-(brightest - _KNEE) / (1 - _KNEE)))
    scale = np.where(brightest > _KNEE, squeezed / brightest, 1)
    return np.asarray(linear * scale, np.float32)


def _srgb_to_linear(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    coded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(coded, np.float32)


def _pq_to_linear(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return light with WHITE_NITS as 1, by SMPTE ST 2084."""
    root = coded ** (1 / 78.84375)
    nits = 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return np.asarray(nits / WHITE_NITS)


def _hlg_to_linear(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of the scene from 0 to 1, by ITU-R BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)


_LINEAR, _PQ, _HLG = 8, 16, 18
_TO_LINEAR: dict[int, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    _LINEAR: np.asarray,
    _PQ: _pq_to_linear,
    _HLG: _hlg_to_linear,
}
