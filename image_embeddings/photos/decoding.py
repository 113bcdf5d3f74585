"""From the bytes of a file to an upright RGB image, safely."""

import math
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, TiffTags, UnidentifiedImageError

from image_embeddings.errors import ImageTooLargeError, ImageUnreadableError
from image_embeddings.photos import raw

# The only decoders that run on files and uploads, beside that of camera RAW.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
BOX_FORMATS = ("AVIF", "HEIF")  # files of one layout: boxes, the first of which is called ftyp
UNREAD_SUFFIXES = frozenset({".jxl"})
SUFFIXES = raw.SUFFIXES | frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif"}
)

# The beginning of a file -> what browsers show it as; of other formats they get a rendition.
_SHOWN_BY_BROWSERS = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (8, b"WEBP", "image/webp"),
    (0, b"GIF8", "image/gif"),
    (0, b"BM", "image/bmp"),
    (4, b"ftypavif", "image/avif"),
)
RENDITION_SHORT_SIDE = 1440  # pixels; renditions have up to twice as many
RENDITION_TYPE = "image/jpeg"
RENDITION_QUALITY = 88

# What decoders raise on damaged files, beyond Pillow's own UnidentifiedImageError (an OSError).
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

_XMP, _IPTC, _IPTC_RESOURCE = 700, 33723, 0x0404

# EXIF orientation -> what turns the stored picture upright
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Damaged metadata in a sound picture is no news to the user, nor that a picture is large but not too large.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


# Large photos are shrunk while they are decoded, to no less than twice what models look at (224 pixels). Whatever
# changes the pixels that come out needs a new name here: embeddings made before and after are not compared.
DECODING = "decode-1"
SHORT_SIDE = 448
LONG_SIDE = 16 * SHORT_SIDE  # however thin
PALETTE_PIXELS = 16_000_000  # larger ones are thinned out before their palette makes three or four bytes of each pixel


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """An upright RGB image, shrunk, and what the file says: full size as shown, EXIF, and XMP and IPTC as bytes."""

    image: Image.Image
    width: int
    height: int
    exif: Image.Exif
    xmp: bytes = b""
    iptc: bytes = b""


def decode(data: bytes, *, max_pixels: int, what: str, short_side: int = SHORT_SIDE) -> Decoded:
    """The upright RGB image in `data`; the first frame of an animation, transparency on white, a RAW file's preview.

    A larger one is shrunk, to no less than `short_side` pixels. `what` names the image in errors.

    Raises:
        ImageUnreadableError: of no known format, empty, truncated or damaged.
        ImageTooLargeError: more than `max_pixels` pixels; found out before memory is taken for them.
    """
    # Some decoders take memory for the whole picture as they open it. Pillow refuses what is more than twice its limit
    # before that; the limit is only ever raised here, for it is the whole process's.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels // 2)
    try:
        if raw.is_raw(data):
            return _decoded_raw(data, max_pixels=max_pixels, what=what, short_side=short_side)
        return _decoded(data, max_pixels=max_pixels, what=what, short_side=short_side)
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


def _decoded(data: bytes, *, max_pixels: int, what: str, short_side: int) -> Decoded:
    with Image.open(BytesIO(data), formats=_formats(data)) as image:
        full = image.size
        if full[0] * full[1] > max_pixels:
            raise _too_large(f"{what} has {full[0]} × {full[1]} pixels", max_pixels)
        image.draft("RGB", _scaled(full, short_side))  # JPEG: decodes at a half, a quarter or an eighth
        image.load()
        exif = _exif(image)
        turned = exif.get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        width, height = reversed(full) if turned else full
        xmp, iptc = _xmp(image, exif), _iptc(image, exif)
        picture = _upright(_rgb(_shrunk(_spread(image), short_side)), exif)
        return Decoded(image=picture, width=width, height=height, exif=exif, xmp=xmp, iptc=iptc)


def _decoded_raw(data: bytes, *, max_pixels: int, what: str, short_side: int) -> Decoded:
    photo = raw.read(data, max_pixels=max_pixels)
    if isinstance(photo.picture, bytes):
        decoded = _decoded(photo.picture, max_pixels=max_pixels, what=what, short_side=short_side)
        decoded = replace(decoded, width=photo.width, height=photo.height)
    else:
        picture = _rgb(_shrunk(photo.picture, short_side))
        decoded = Decoded(image=picture, width=photo.width, height=photo.height, exif=Image.Exif())
    exif = _container_exif(data)
    if exif is None:
        return decoded
    xmp, iptc = _tag(exif, _XMP) or decoded.xmp, _tag(exif, _IPTC) or decoded.iptc
    return replace(decoded, exif=exif, xmp=xmp, iptc=iptc)


def _formats(data: bytes) -> tuple[str, ...]:
    if data[4:8] != b"ftyp":
        return FORMATS
    _know_heif()
    return BOX_FORMATS


@cache
def _know_heif() -> None:
    """Registers the decoder of HEIF with Pillow. It turns pictures itself and says so: their EXIF is upright."""
    from pillow_heif import register_heif_opener

    # Thumbnails: an image program may have left an old one. Depth maps and the like are not looked at.
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def browser_type(beginning: bytes) -> str | None:
    """The content type by which browsers show a file that begins so; None where they cannot be relied on to."""
    return next((kind for at, magic, kind in _SHOWN_BY_BROWSERS if beginning.startswith(magic, at)), None)


def rendition(data: bytes, *, max_pixels: int, what: str) -> bytes:
    """The photo as a JPEG that fills a screen (RENDITION_TYPE), for browsers that cannot show it as it is.

    Raises:
        ImageError: as by `decode`.
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
        return image.getexif()
    except _DECODE_ERRORS:  # damaged EXIF in a sound picture
        return Image.Exif()


def _xmp(image: Image.Image, exif: Image.Exif) -> bytes:
    found = image.info.get("xmp")
    return found if isinstance(found, bytes) else _tag(exif, _XMP)


def _iptc(image: Image.Image, exif: Image.Exif) -> bytes:
    resources = image.info.get("photoshop")  # JPEG
    found = resources.get(_IPTC_RESOURCE) if isinstance(resources, dict) else None
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _IPTC in image.tag_v2:
        image.tag_v2.tagtype[_IPTC] = TiffTags.UNDEFINED  # bytes, though most programs call them numbers
        found = image.tag_v2[_IPTC]
    return found if isinstance(found, bytes) else _tag(exif, _IPTC)


def _tag(exif: Image.Exif, tag: int) -> bytes:
    try:
        value = exif.get(tag)
    except _DECODE_ERRORS:
        return b""
    return value if isinstance(value, bytes) else b""


def _container_exif(data: bytes) -> Image.Exif | None:
    try:
        return raw.container_exif(data)
    except _DECODE_ERRORS:
        return None


def _scaled(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    scale = min(1.0, short_side / min(size))
    return round(size[0] * scale), round(size[1] * scale)


def _spread(image: Image.Image) -> Image.Image:
    """The image in a mode that can be shrunk: palettes, single bits and 16 bits cannot."""
    if image.mode in ("P", "PA", "1"):
        thinning = math.isqrt(max(1, image.width * image.height // PALETTE_PIXELS))
        if thinning > 1:
            size = (max(1, image.width // thinning), max(1, image.height // thinning))
            image = image.resize(size, Image.Resampling.NEAREST)
        if image.mode == "1":
            return image.convert("L")
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("I") if image.mode.startswith("I;16") else image


def _shrunk(image: Image.Image, short_side: int) -> Image.Image:
    factor = min(image.size) // short_side
    if factor > 1:
        image = image.reduce(factor)
    if max(image.size) > LONG_SIDE:
        size = (min(image.width, LONG_SIDE), min(image.height, LONG_SIDE))
        image = image.resize(size, Image.Resampling.BOX)
    return image


def _upright(image: Image.Image, exif: Image.Exif) -> Image.Image:
    method = _TRANSPOSE.get(exif.get(ExifTags.Base.Orientation, 1))
    return image if method is None else image.transpose(method)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A 16-bit, 32-bit or float greyscale image, its range fitted to 0–255 (Pillow itself would clip it)."""
    pixels = np.asarray(image, np.float64)
    full = 65535 if image.mode.startswith("I") and pixels.max(initial=0) <= 65535 else pixels.max(initial=0)
    return Image.fromarray((pixels.clip(0) * (255 / max(full, 1e-9))).clip(0, 255).astype(np.uint8))
