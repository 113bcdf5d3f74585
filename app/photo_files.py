"""The files of indexed photos, and the decoding of photos and uploads, which other processes do."""

from pathlib import Path

from PIL import Image

from app.services import services
from image_embeddings import SHORT_SIDE, UPLOAD_BYTES, ImageDocument, content_hash, errors, read_bytes, resolve


def find_photo(image_id: str) -> tuple[ImageDocument, Path]:
    """Return the document and the file of an indexed photo.

    Raises:
        ImageNotFoundError: if the photo is not in the index, or not in IMAGE_DIR.
    """
    document = services().search.get(image_id)
    path = resolve(services().settings.image_dir, image_id)
    if path is None:
        raise errors.ImageNotFoundError(
            f"'{image_id}' is in the index but not in the folder {services().settings.image_dir}. "
            "Is IMAGE_DIR the folder that was indexed, and its drive mounted?"
        )
    return document, path


def check_not_removed(image_id: str) -> None:
    """Raise ImageNotFoundError if the file of an indexed photo has been removed since.

    If IMAGE_DIR is empty or missing, its drive is not mounted, and nothing is known of its photos.
    """
    folder = services().settings.image_dir
    if resolve(folder, image_id) is None and _has_files(folder):
        raise errors.ImageNotFoundError(
            f"'{image_id}' is in the index but not in the folder {folder} any more. The next run of index removes it."
        )


def _has_files(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is not None
    except OSError:
        return False


def read_photo(image_id: str) -> bytes:
    """Return the bytes of an indexed photo's file as they are now.

    Raises:
        ImageNotFoundError: as in `find_photo`.
        CorpusError, ImageTooLargeError: if the file cannot be read.
    """
    _, path = find_photo(image_id)
    return read_bytes(path, what=image_id)[0]


def decode_photo(image_id: str, *, short_side: int = SHORT_SIDE) -> tuple[Image.Image, str]:
    """Return the upright RGB image of an indexed photo as its file is now, and the content hash of the file.

    A larger image is shrunk; its shorter side keeps at least `short_side` pixels.

    Raises:
        ImageNotFoundError, CorpusError: as in `read_photo`.
        ImageError: if the bytes are no image, are damaged, or hold too many pixels, or if they cannot be decoded now.
            The message begins with the image_id.
    """
    made = ""

    def read() -> bytes:
        nonlocal made
        data = read_photo(image_id)
        made = content_hash(data)
        return data

    image = services().decoders.decode(read, max_pixels=_max_pixels(), what=image_id, short_side=short_side)
    return image, made


def decode_from_visitor(data: bytes, *, what: str) -> Image.Image:
    """Return the upright RGB image in bytes that a visitor has sent. It may take UPLOAD_BYTES of memory.

    Raises:
        ImageError: as in `decode_photo`. The message begins with `what`.
    """
    return services().decoders.decode(data, max_pixels=_max_pixels(), what=what, max_bytes=UPLOAD_BYTES)


def make_rendition(path: Path, *, image_id: str) -> bytes:
    """Return the file of an indexed photo as a JPEG for browsers that cannot show the original.

    Raises:
        CorpusError, ImageTooLargeError: if the file cannot be read.
        ImageError: as in `decode_photo`.
    """

    def read() -> bytes:
        return read_bytes(path, what=image_id)[0]

    return services().decoders.rendition(read, max_pixels=_max_pixels(), what=image_id)


def _max_pixels() -> int:
    return services().settings.max_image_pixels
