"""The files of indexed photos, and the decoding of photos and uploads, which other processes do."""

from PIL import Image

from app.services import services
from image_embeddings import SHORT_SIDE, UPLOAD_BYTES, PhotoFile, errors


def find_photo(image_id: str) -> PhotoFile:
    """Return the file of an indexed photo.

    Raises:
        ImageNotFoundError: if the photo is not in the index, or not in IMAGE_DIR.
        CorpusError: if IMAGE_DIR cannot be asked.
    """
    services().search.get(image_id)
    photos = services().photos
    file = photos.find(image_id)
    if file is None:
        raise errors.ImageNotFoundError(
            f"'{image_id}' is in the index but not in {photos.address}. "
            "Is IMAGE_DIR what was indexed, and its drive mounted?"
        )
    return file


def check_not_removed(image_id: str) -> None:
    """Raise ImageNotFoundError if the file of an indexed photo is known to have been removed since."""
    photos = services().photos
    if photos.is_known_to_lack(image_id):
        raise errors.ImageNotFoundError(
            f"'{image_id}' is in the index but not in {photos.address} any more. The next run of index removes it."
        )


def read_photo(file: PhotoFile) -> bytes:
    """Return the bytes of a photo as they are now.

    Raises:
        CorpusError, ImageTooLargeError: if the file cannot be read.
    """
    return services().photos.read(file).data


def decode_photo(file: PhotoFile, *, short_side: int = SHORT_SIDE) -> tuple[Image.Image, str]:
    """Return the upright RGB image of a photo as it is now, and the content hash of its bytes.

    A larger image is shrunk; its shorter side keeps at least `short_side` pixels. The photo is read once a process is
    free to decode it.

    Raises:
        CorpusError, ImageTooLargeError: as in `read_photo`.
        ImageError: if the bytes are no image, are damaged, or hold too many pixels, or if they cannot be decoded now.
            The message begins with the image_id.
    """
    made = ""

    def read() -> bytes:
        nonlocal made
        content = services().photos.read(file)
        made = content.content_hash
        return content.data

    decoders = services().decoders
    image = decoders.decode(read, max_pixels=_max_pixels(), what=file.image_id, short_side=short_side)
    return image, made


def decode_from_visitor(data: bytes, *, what: str) -> Image.Image:
    """Return the upright RGB image in bytes that a visitor has sent. It may take UPLOAD_BYTES of memory.

    Raises:
        ImageError: as in `decode_photo`. The message begins with `what`.
    """
    return services().decoders.decode(data, max_pixels=_max_pixels(), what=what, max_bytes=UPLOAD_BYTES)


def make_rendition(file: PhotoFile) -> bytes:
    """Return a photo as a JPEG for browsers that cannot show the original.

    Raises:
        CorpusError, ImageTooLargeError: as in `read_photo`.
        ImageError: as in `decode_photo`.
    """
    decoders = services().decoders
    return decoders.rendition(lambda: read_photo(file), max_pixels=_max_pixels(), what=file.image_id)


def _max_pixels() -> int:
    return services().settings.max_image_pixels
