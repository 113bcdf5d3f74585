"""A photo: its document and its picture, made from the bytes of one file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from PIL import Image

from image_embeddings.documents import ImageDocument
from image_embeddings.photos import captions, decoding, exif
from image_embeddings.photos.decoding import UNMANAGED_DECODING
from image_embeddings.photos.fingerprint import fingerprint
from image_embeddings.photos.thumbnails import preview


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A decoded photo: its document and its upright RGB image. `unmanaged` and `damage` are as in `Decoded`."""

    document: ImageDocument
    image: Image.Image
    unmanaged: Image.Image | None = None
    damage: str = ""

    def image_for(self, decoding: str) -> Image.Image:
        """Return the image to encode for an index that was made with the decoding of this name."""
        if decoding == UNMANAGED_DECODING and self.unmanaged:
            return self.unmanaged
        return self.image


@dataclass(frozen=True, kw_only=True)
class PhotoBytes:
    """The content of a file when it was read."""

    image_id: str
    data: bytes
    mtime_ns: int
    content_hash: str


def decode_photo(photo: PhotoBytes, *, max_pixels: int, with_location: bool = True) -> Photo:
    """Return the photo in these bytes; the picture and all values of its document come from the same bytes.

    Raises:
        ImageError: if the content cannot be decoded, or is too large.
    """
    decoded = decoding.decode(photo.data, max_pixels=max_pixels, what=photo.image_id)
    said = captions.words(xmp=decoded.xmp, iptc=decoded.iptc)
    return Photo(
        image=decoded.image,
        unmanaged=decoded.unmanaged,
        damage=decoded.damage,
        document=ImageDocument(
            image_id=photo.image_id,
            width=decoded.width,
            height=decoded.height,
            bytes=len(photo.data),
            mtime_ns=photo.mtime_ns,
            content_hash=photo.content_hash,
            location=exif.location(decoded.exif) if with_location else None,
            taken=exif.taken(decoded.exif),
            camera_make=exif.camera_make(decoded.exif),
            camera_model=exif.camera_model(decoded.exif),
            lens=exif.lens(decoded.exif),
            caption=said.caption,
            keywords=said.keywords,
            preview=preview(decoded.image),
            fingerprint=fingerprint(decoded.image),
        ),
    )


def content_hash(data: bytes) -> str:
    """Return the name of these bytes: the first half of their SHA-256, 32 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:32]
