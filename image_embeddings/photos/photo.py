"""A photo: its document and its picture, made from the bytes of one file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from PIL import Image

from image_embeddings.documents import ImageDocument
from image_embeddings.photos import captions, decoding, exif, places, xmp
from image_embeddings.photos.dates import date_of_name
from image_embeddings.photos.decoding import UNMANAGED_DECODING
from image_embeddings.photos.fingerprint import fingerprint
from image_embeddings.photos.thumbnails import preview

EXIF, NAME = "exif", "name"  # what says when a photo was taken


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
    ctime_ns: int = 0  # this and `inode` as in ImageDocument
    inode: int = 0


def decode_photo(photo: PhotoBytes, *, max_pixels: int, with_location: bool = True) -> Photo:
    """Return the photo in these bytes; the picture and all values of its document come from the same bytes.

    Raises:
        ImageError: if the content cannot be decoded, or is too large.
    """
    decoded = decoding.decode(photo.data, max_pixels=max_pixels, what=photo.image_id)
    taken, taken_by = _date(decoded.exif, image_id=photo.image_id)
    packet = xmp.read(decoded.xmp)
    words = captions.words(xmp=packet, iptc=decoded.iptc, exif=decoded.exif)
    place = places.place(decoded.exif, packet) if with_location else None
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
            ctime_ns=photo.ctime_ns,
            inode=photo.inode,
            content_hash=photo.content_hash,
            location=(place.latitude, place.longitude) if place else None,
            altitude=place.altitude if place else None,
            taken=taken,
            taken_by=taken_by,
            camera_make=exif.camera_make(decoded.exif),
            camera_model=exif.camera_model(decoded.exif),
            lens=exif.lens(decoded.exif) or _lens_in_xmp(packet),
            caption=words.caption,
            title=words.title,
            headline=words.headline,
            keywords=words.keywords,
            city=words.city,
            country=words.country,
            persons=words.persons,
            preview=preview(decoded.image),
            fingerprint=fingerprint(decoded.image),
        ),
    )


def _date(tags: Image.Exif, *, image_id: str) -> tuple[str | None, str | None]:
    """Return when the photo was taken, and what says so: exif or name. Return (None, None) if nothing does."""
    if found := exif.taken(tags) or exif.changed(tags):
        return found, EXIF
    if found := date_of_name(image_id):
        return found, NAME
    return None, None


def rename(document: ImageDocument, *, image_id: str) -> ImageDocument:
    """Return the document of the same photo under another name. A date that only the name says follows the name."""
    renamed = replace(document, image_id=image_id)
    if document.taken_by in (None, NAME):
        taken = date_of_name(image_id)
        renamed = replace(renamed, taken=taken, taken_by=NAME if taken else None)
    return renamed


def _lens_in_xmp(packet: xmp.Xmp) -> str | None:
    names = (exif.lens_name(packet.text(name)) for name in ("exifEX:LensModel", "aux:Lens"))
    return next((name for name in names if name), None)


def content_hash(data: bytes) -> str:
    """Return the name of these bytes: the first half of their SHA-256, 32 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:32]
