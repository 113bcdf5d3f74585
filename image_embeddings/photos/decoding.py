"""The safe decoding of a file's bytes to an upright RGB image."""

import math
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from image_embeddings.errors import ImageTooLargeError, ImageUnreadableError
from image_embeddings.photos import packets, raw
from image_embeddings.photos.exif import orientation

# The only decoders that run on files and uploads, apart from BOX_FORMATS and camera RAW.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
BOX_FORMATS = ("AVIF", "HEIF")  # both consist of boxes, and the first box has the name ftyp
UNREAD_SUFFIXES = frozenset({".jxl"})
SUFFIXES = raw.SUFFIXES | frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif"}
)

# Position and bytes at the beginning of a file -> content type by which browsers show it. Of other formats they get a
# rendition.
_SHOWN_BY_BROWSERS = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (8, b"WEBP", "image/webp"),
    (0, b"GIF8", "image/gif"),
    (0, b"BM", "image/bmp"),
    (4, b"ftypavif", "image/avif"),
)
RENDITION_SHORT_SIDE = 1440  # pixels; the shorter side of a rendition may have up to twice as many
RENDITION_TYPE = "image/jpeg"
RENDITION_QUALITY = 88

# What decoders raise if a file is damaged. Pillow's own UnidentifiedImageError is an OSError.
_DECODE_ERRORS = (
    OSError,
    RuntimeError,  # pillow-heif
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    ZeroDivisionError,
    EOFError,
    struct.error,
    zlib.error,
)

# EXIF orientation -> the operation that turns the stored picture upright
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Users need no warning of damaged metadata in an intact picture, nor of a picture that is large but not too large.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


# Large photos are shrunk while they are decoded, to at least twice the size that models use (224 pixels). A change that
# gives other pixels needs a new DECODING, because embeddings made before and after it must not be compared.
DECODING = "decode-1"
SHORT_SIDE = 448
LONG_SIDE = 16 * SHORT_SIDE  # at most, even if the photo is very thin
PALETTE_PIXELS = 16_000_000  # larger pictures are thinned out first: in RGB or RGBA a pixel takes 3 or 4 bytes


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded file: its upright RGB image, shrunk if large, and its metadata.

    `width` and `height` are the full size of the upright photo in pixels. `xmp` and `iptc` are bytes that are not
    parsed yet.
    """

    image: Image.Image
    width: int
    height: int
    exif: Image.Exif
    xmp: bytes = b""
    iptc: bytes = b""


def decode(data: bytes, *, max_pixels: int, what: str, short_side: int = SHORT_SIDE) -> Decoded:
    """Return the upright RGB image in `data`, with the metadata of the file.

    Of an animation, it is the first frame; of a RAW file, the preview. Transparent parts become white. A larger image
    is shrunk; its shorter side keeps at least `short_side` pixels. `what` names the image in errors.

    Raises:
        ImageUnreadableError: if the data has no known format, or is empty, truncated or damaged.
        ImageTooLargeError: if it has more than `max_pixels` pixels. This is checked before memory is taken for them.
    """
    # Some decoders take memory for the whole picture when they open it. Before that, Pillow refuses a picture of more
    # than twice its limit. The limit belongs to the whole process, so it is only raised here, never lowered.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels // 2)
    try:
        if raw.is_raw(data):
            return _decode_raw(data, max_pixels=max_pixels, what=what, short_side=short_side)
        return _decode_image(data, max_pixels=max_pixels, what=what, short_side=short_side)
    except raw.TooManyPixelsError as error:
        raise _too_large(f"{what} has {error.width} × {error.height} pixels", max_pixels) from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise _too_large(f"{what} has too many pixels", max_pixels) from error
    except _DECODE_ERRORS as error:
        if not data:
            raise ImageUnreadableError(f"{what} is empty: copy it again from where it came from.") from error
        raise ImageUnreadableError(
            f"{what} is not an image that can be read ({_reason(error)}). JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, "
            "AVIF and camera RAW can: open it in an image program and save it again."
        ) from error


def _decode_image(data: bytes, *, max_pixels: int, what: str, short_side: int) -> Decoded:
    with Image.open(BytesIO(data), formats=_formats(data)) as image:
        full = image.size
        if full[0] * full[1] > max_pixels:
            raise _too_large(f"{what} has {full[0]} × {full[1]} pixels", max_pixels)
        if not isinstance(image.info.get("xmp", b""), bytes):
            del image.info["xmp"]  # in TIFF as numbers, in which Pillow cannot look for an orientation
        image.draft("RGB", _draft_size(full, short_side))  # JPEG: decodes at a half, a quarter or an eighth
        image.load()
        exif = _exif(image)
        turned = orientation(exif) in (5, 6, 7, 8)
        width, height = reversed(full) if turned else full
        xmp, iptc = packets.xmp_of(data, image.info), packets.iptc_of(data, image.info)
        picture = _turn_upright(_to_rgb(_shrink(_to_resizable_mode(image), short_side)), exif)
        return Decoded(image=picture, width=width, height=height, exif=exif, xmp=xmp, iptc=iptc)


def _decode_raw(data: bytes, *, max_pixels: int, what: str, short_side: int) -> Decoded:
    photo = raw.read(data, max_pixels=max_pixels)
    if isinstance(photo.picture, bytes):
        decoded = _decode_image(photo.picture, max_pixels=max_pixels, what=what, short_side=short_side)
        decoded = replace(decoded, width=photo.width, height=photo.height)
    else:
        picture = _to_rgb(_shrink(photo.picture, short_side))
        decoded = Decoded(image=picture, width=photo.width, height=photo.height, exif=Image.Exif())
    exif = _container_exif(data)
    if exif is None:
        return decoded
    xmp, iptc = packets.xmp_of(data, {}) or decoded.xmp, packets.iptc_of(data, {}) or decoded.iptc
    return replace(decoded, exif=exif, xmp=xmp, iptc=iptc)


def _formats(data: bytes) -> tuple[str, ...]:
    if data[4:8] != b"ftyp":
        return FORMATS
    _register_heif()
    return BOX_FORMATS


@cache
def _register_heif() -> None:
    """Register the decoder of HEIF with Pillow. It turns pictures itself, and their EXIF orientation is upright."""
    from pillow_heif import register_heif_opener

    # No thumbnails: an image program may have left an old one. Depth maps and other auxiliary images are not used.
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def browser_type(beginning: bytes) -> str | None:
    """Return the content type by which browsers show a file with this beginning; None if some cannot show it."""
    return next((kind for at, magic, kind in _SHOWN_BY_BROWSERS if beginning.startswith(magic, at)), None)


def rendition(data: bytes, *, max_pixels: int, what: str) -> bytes:
    """Return the photo as a JPEG (RENDITION_TYPE) that fills a screen, for browsers that cannot show the original.

    Raises:
        ImageError: as in `decode`.
    """
    decoded = decode(data, max_pixels=max_pixels, what=what, short_side=RENDITION_SHORT_SIDE)
    buffer = BytesIO()
    decoded.image.save(buffer, "JPEG", quality=RENDITION_QUALITY)
    return buffer.getvalue()


def _too_large(found: str, max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"{found}; at most {max_pixels:,} in all are read. Make it smaller, or raise MAX_IMAGE_PIXELS."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is of no known image format"
    return f"damaged: {str(error).strip().rstrip('.') or type(error).__name__}"


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return packets.exif_of(image)
    except _DECODE_ERRORS:  # damaged EXIF in an intact picture
        return Image.Exif()


def _container_exif(data: bytes) -> Image.Exif | None:
    try:
        return raw.container_exif(data)
    except _DECODE_ERRORS:
        return None


def _draft_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    scale = min(1.0, short_side / min(size))
    return round(size[0] * scale), round(size[1] * scale)


def _to_resizable_mode(image: Image.Image) -> Image.Image:
    """Return the image in a mode that can be shrunk, which is not possible with palettes, single bits and 16 bits."""
    if image.mode in ("P", "PA", "1"):
        thinning = math.isqrt(max(1, image.width * image.height // PALETTE_PIXELS))
        if thinning > 1:
            size = (max(1, image.width // thinning), max(1, image.height // thinning))
            image = image.resize(size, Image.Resampling.NEAREST)
        if image.mode == "1":
            return image.convert("L")
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("I") if image.mode.startswith("I;16") else image


def _shrink(image: Image.Image, short_side: int) -> Image.Image:
    factor = min(image.size) // short_side
    if factor > 1:
        image = image.reduce(factor)
    if max(image.size) > LONG_SIDE:
        size = (min(image.width, LONG_SIDE), min(image.height, LONG_SIDE))
        image = image.resize(size, Image.Resampling.BOX)
    return image


def _turn_upright(image: Image.Image, exif: Image.Exif) -> Image.Image:
    method = _TRANSPOSE.get(orientation(exif))
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return a 16-bit, 32-bit or float greyscale image, scaled to the range 0–255 (Pillow itself would clip it)."""
    pixels = np.asarray(image, np.float64)
    full = 65535 if image.mode.startswith("I") and pixels.max(initial=0) <= 65535 else pixels.max(initial=0)
    return Image.fromarray((pixels.clip(0) * (255 / max(full, 1e-9))).clip(0, 255).astype(np.uint8))
