"""The safe decoding of a file's bytes to an upright RGB image."""

import struct
import traceback
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO

from PIL import Image

from image_embeddings.errors import ImageTooLargeError, ImageUnreadableError
from image_embeddings.photos import boxes, colour, jpeg_scans, memory, packets, pixels, raw, salvage, tiff, unreadable
from image_embeddings.photos.orientation import orientation, turn_upright

# The only decoders that run on files and uploads, apart from BOX_FORMATS and camera RAW.
MOST_SCANS = 200  # of a JPEG; programs write about ten, and each costs as much time as the whole picture
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
BOX_FORMATS = ("AVIF", "HEIF")  # both consist of boxes, and the first box has the name ftyp
UNREAD_SUFFIXES = frozenset({".jxl"})
SUFFIXES = raw.SUFFIXES | frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjpg", ".pjp", ".mpo", ".jps"}
    | {".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
    | {".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"}
)

# What decoders raise if a file is damaged. Pillow's own UnidentifiedImageError is an OSError.
DECODE_ERRORS = (
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


# Users need no warning of damaged metadata in an intact picture, nor of a picture that is large but not too large.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


# Large photos are shrunk while they are decoded, to at least twice the size that models use (224 pixels). A change that
# gives other pixels needs a new DECODING, because embeddings made before and after it must not be compared.
DECODING = "decode-2"
# The name of the decoding without colour profiles. Indices that were made by it take further photos decoded alike.
UNMANAGED_DECODING = "decode-1"
DECODINGS = (DECODING, UNMANAGED_DECODING)
SHORT_SIDE = 448
MAX_SIDE = 65_535  # pixels; decoders and Pillow take memory for each row, and thin pictures have many


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded file: its upright RGB image, shrunk if large, and its metadata.

    `width` and `height` are the full size of the upright photo in pixels. `xmp` and `iptc` are bytes that are not
    parsed yet, and `creation_time` is the text in which a PNG says when its picture was made. `unmanaged` is the image
    as UNMANAGED_DECODING gives it; None if it is the same. `damage` says what is wrong with the file if only a part of
    the picture could be decoded.
    """

    image: Image.Image
    unmanaged: Image.Image | None = None
    width: int
    height: int
    exif: Image.Exif
    xmp: bytes = b""
    iptc: bytes = b""
    creation_time: str = ""
    damage: str = ""


def decode(data: bytes, *, max_pixels: int, what: str, short_side: int = SHORT_SIDE) -> Decoded:
    """Return the upright RGB image in `data`, with the metadata of the file.

    Of an animation, it is the first frame; of a RAW file, the preview. Colours become sRGB, and transparent parts
    white. A larger image is shrunk; its shorter side keeps at least `short_side` pixels. Damaged metadata is left out.
    A truncated picture is decoded as far as it goes. `what` names the image in errors.

    Raises:
        ImageUnreadableError: if the data has no known format, is empty, or is so damaged that nearly nothing is left.
        ImageTooLargeError: if it has more than `max_pixels` pixels, or more than MAX_SIDE in a row or column. This is
            checked before memory is taken for them.
        ImageMemoryError: if the system has too little memory now.
    """
    # Some decoders take memory for the whole picture when they open it. Before that, Pillow refuses a picture of more
    # than twice its limit. The limit belongs to the whole process, so it is only raised here, never lowered.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels // 2)
    tiff.silence_libtiff()
    try:
        if raw.is_raw(data):
            return _decode_raw(data, max_pixels=max_pixels, what=what, short_side=short_side)
        return _decode_image(data, max_pixels=max_pixels, what=what, short_side=short_side)
    except raw.TooManyPixelsError as error:
        raise _too_large(f"{what} has {error.width} × {error.height} pixels", max_pixels) from error
    except Image.DecompressionBombError as error:
        raise _too_large(f"{what} has too many pixels", max_pixels) from error
    except MemoryError as error:
        raise memory.lack_error(what, str(error) or "none is left") from error
    except DECODE_ERRORS as error:
        raise ImageUnreadableError(f"{what} {unreadable.describe(error, data)}.") from error


def _decode_image(data: bytes, *, max_pixels: int, what: str, short_side: int) -> Decoded:
    """Return the picture; if it cannot be decoded, try it without its metadata, and then as far as it goes."""
    decode_once = partial(_decode_once, max_pixels=max_pixels, what=what, short_side=short_side)
    try:
        decoded = decode_once(data)
        return replace(decoded, damage="its end is missing") if salvage.lacks_end(data) else decoded
    except DECODE_ERRORS as error:
        reduced = salvage.without_metadata(data)
        for variant in reduced:
            with suppress(*DECODE_ERRORS):
                return decode_once(variant)
        with salvage.tolerating_truncation():
            for variant in (salvage.completed(data), *reduced):
                with suppress(*DECODE_ERRORS):
                    return replace(decode_once(variant), damage=unreadable.describe_damage(error, data))
        raise


def _decode_once(data: bytes, *, max_pixels: int, what: str, short_side: int) -> Decoded:
    """Decode a picture as soon as the budget has the memory. Raise MemoryError if the system has not."""
    with memory.reserve(_bytes_to_decode(data, max_pixels=max_pixels, what=what, short_side=short_side)):
        try:
            return _load(data, short_side=short_side)
        except DECODE_ERRORS as error:
            traceback.clear_frames(error.__traceback__)  # else it holds the picture while decoding is tried again
            if memory.is_lack(error):
                raise MemoryError(str(error)) from error
            raise


def _bytes_to_decode(data: bytes, *, max_pixels: int, what: str, short_side: int) -> int:
    """Return the memory that decoding takes, from the header. Raise ImageTooLargeError if there are too many pixels."""

    def check(size: tuple[int, int]) -> None:
        if size[0] * size[1] > max_pixels:
            raise _too_large(f"{what} has {size[0]} × {size[1]} pixels", max_pixels)
        if max(size) > MAX_SIDE:
            raise ImageTooLargeError(
                f"{what} has {size[0]} × {size[1]} pixels; at most {MAX_SIDE:,} in a row or column are read. Make it "
                "smaller, or cut it into parts."
            )

    if size := memory.webp_size(data):
        check(size)
        return memory.bytes_of_pixels(size, kind="WEBP")
    with Image.open(BytesIO(data), formats=_formats(data)) as image:
        check(image.size)
        coefficients = memory.bytes_of_coefficients(image, data)
        # If the first scan is a whole picture, decoders read no other. So the scans of most files need not be counted.
        if coefficients and jpeg_scans.has_more_scans(data, MOST_SCANS):
            raise ImageTooLargeError(
                f"{what} has {jpeg_scans.count_scans(data):,} scans; at most {MOST_SCANS:,} are read. Save it anew as "
                "JPEG."
            )
        image.draft("RGB", _draft_size(image.size, short_side))
        return coefficients + memory.bytes_of_pixels(image.size, kind=image.format or "", mode=image.mode)


def _load(data: bytes, *, short_side: int) -> Decoded:
    with Image.open(BytesIO(data), formats=_formats(data)) as image:
        full = image.size
        if not isinstance(image.info.get("xmp", b""), bytes):
            del image.info["xmp"]  # in TIFF as numbers, in which Pillow cannot look for an orientation
        image.draft("RGB", _draft_size(full, short_side))  # JPEG: decodes at a half, a quarter or an eighth
        frame = image.tile[0].extents if image.format == "GIF" and image.tile else None
        image.load()
        salvage.check_not_empty(image)
        exif = _exif(image)
        xmp, iptc = packets.xmp_of(data, image.info), packets.iptc_of(data, image.info)
        stored: Image.Image = image
        points: colour.CodePoints | None = None
        if image.format == "TIFF":
            stored, full = tiff.correct_colours(image), image.size  # Pillow has turned it by now
        elif image.format in BOX_FORMATS:
            stored, points = _apply_boxes(image, data)
            full = stored.size
        # Pillow itself turns TIFF by XMP, too. In HEIF and AVIF only the boxes count.
        turned = orientation(exif, xmp=b"" if image.format in ("TIFF", *BOX_FORMATS) else xmp)
        small = pixels.shrink(pixels.to_resizable_mode(stored), short_side)
        picture, unmanaged = pixels.to_rgb(small, icc_profile=image.info.get("icc_profile"), points=points)
        if frame and frame != (0, 0, *full):
            picture = pixels.whiten_outside(picture, frame, full=full)
        width, height = reversed(full) if turned >= 5 else full
        return Decoded(
            image=turn_upright(picture, turned),
            unmanaged=unmanaged and turn_upright(unmanaged, turned),
            width=width,
            height=height,
            exif=exif,
            xmp=xmp,
            iptc=iptc,
            creation_time=packets.creation_time_of(image.info),
        )


def _apply_boxes(image: Image.Image, data: bytes) -> tuple[Image.Image, colour.CodePoints | None]:
    """Return an AVIF or HEIF picture without what its crop leaves out, and its colour space."""
    properties = boxes.read_properties(data, size=image.size)
    if properties.crop and image.format == "AVIF":  # pillow-heif crops by itself
        return image.crop(properties.crop), properties.code_points
    return image, properties.code_points


def _decode_raw(data: bytes, *, max_pixels: int, what: str, short_side: int) -> Decoded:
    photo = raw.read(data, max_pixels=max_pixels)
    if isinstance(photo.picture, bytes):
        decoded = _decode_image(photo.picture, max_pixels=max_pixels, what=what, short_side=short_side)
        decoded = replace(decoded, width=photo.width, height=photo.height)
    else:
        picture, _ = pixels.to_rgb(pixels.shrink(photo.picture, short_side))
        decoded = Decoded(image=picture, width=photo.width, height=photo.height, exif=Image.Exif())
    exif = _container_exif(data)
    if exif is None or (data.startswith(raw.RW2) and len(decoded.exif)):  # the preview in RW2 knows more: the lens
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


def _too_large(found: str, max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"{found}; at most {max_pixels:,} in all are read. Make it smaller, or raise MAX_IMAGE_PIXELS."
    )


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return packets.exif_of(image)
    except DECODE_ERRORS:  # damaged EXIF in an intact picture
        return Image.Exif()


def _container_exif(data: bytes) -> Image.Exif | None:
    try:
        return raw.container_exif(data)
    except DECODE_ERRORS:
        return None


def _draft_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    scale = min(1.0, short_side / min(size))
    return round(size[0] * scale), round(size[1] * scale)
