"""A photo: its document and its picture, made from the bytes of one file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from PIL import Image

from image_embeddings.documents import ImageDocument
from image_embeddings.photos import decoding, exif, xmp
from image_embeddings.photos.dates import date_of_name
from image_embeddings.photos.decoding import UNMANAGED_DECODING, Decoded
from image_embeddings.photos.facts import Facts, read_facts
from image_embeddings.photos.fingerprint import fingerprint
from image_embeddings.photos.sidecars import SidecarBytes, SidecarFault, read_sidecars
from image_embeddings.photos.taken import NAME
from image_embeddings.photos.thumbnails import preview


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A decoded photo: its document and its upright RGB image. `unmanaged` and `damage` are as in `Decoded`."""

    document: ImageDocument
    image: Image.Image
    unmanaged: Image.Image | None = None
    damage: str = ""
    sidecar_faults: tuple[SidecarFault, ...] = ()

    def image_for(self, decoding: str) -> Image.Image:
        """Return the image to encode for an index that was made with the decoding of this name."""
        if decoding == UNMANAGED_DECODING and self.unmanaged:
            return self.unmanaged
        return self.image


@dataclass(frozen=True, kw_only=True)
class PhotoBytes:
    """The content of a file when it was read, with that of its sidecars, the first of which goes before the others."""

    image_id: str
    data: bytes
    mtime_ns: int
    content_hash: str
    ctime_ns: int = 0  # this, `inode` and `etag` as in ImageDocument
    inode: int = 0
    etag: str | None = None
    sidecars: tuple[SidecarBytes, ...] = ()
    sidecar_state: str | None = None  # as in ImageDocument
    sidecar_faults: tuple[SidecarFault, ...] = ()  # of sidecars that could not be read at all


def decode_photo(photo: PhotoBytes, *, max_pixels: int, with_location: bool = True) -> Photo:
    """Return the photo in these bytes; the picture and all values of its document come from the same bytes.

    What a sidecar says goes before what the file says.

    Raises:
        ImageError: if the content cannot be decoded, or is too large.
    """
    decoded = decoding.decode(photo.data, max_pixels=max_pixels, what=photo.image_id)
    facts, faults = read_sidecars(photo.sidecars)
    facts = facts.over(facts_of(decoded))
    taken, taken_by = _dated(facts, image_id=photo.image_id)
    place = facts.place if with_location else None
    return Photo(
        image=decoded.image,
        unmanaged=decoded.unmanaged,
        damage=decoded.damage,
        sidecar_faults=(*photo.sidecar_faults, *faults),
        document=ImageDocument(
            image_id=photo.image_id,
            width=decoded.width,
            height=decoded.height,
            bytes=len(photo.data),
            mtime_ns=photo.mtime_ns,
            ctime_ns=photo.ctime_ns,
            inode=photo.inode,
            etag=photo.etag,
            content_hash=photo.content_hash,
            sidecar_state=photo.sidecar_state,
            location=(place.latitude, place.longitude) if place else None,
            altitude=place.altitude if place else None,
            taken=taken,
            taken_by=taken_by,
            camera_make=exif.camera_make(decoded.exif),
            camera_model=exif.camera_model(decoded.exif),
            lens=facts.lens,
            caption=facts.words.caption,
            title=facts.words.title,
            headline=facts.words.headline,
            keywords=facts.words.keywords,
            city=facts.words.city,
            country=facts.words.country,
            persons=facts.words.persons,
            rating=facts.rating,
            preview=preview(decoded.image),
            fingerprint=fingerprint(decoded.image),
        ),
    )


def facts_of(decoded: Decoded) -> Facts:
    """Return what the metadata inside a file says of the photo."""
    return read_facts(
        exif_=decoded.exif, xmp=xmp.read(decoded.xmp), iptc=decoded.iptc, creation_time=decoded.creation_time
    )


def _dated(facts: Facts, *, image_id: str) -> tuple[str | None, str | None]:
    """Return when the photo was taken, and what says so.

    The name of the file says it if nothing else does, or if all that is known is a moment in UTC, and an unknown zone
    explains what the clock in the name shows. A name with the day of that moment says less of it.
    """
    named = date_of_name(image_id)
    if named and (facts.taken is None or (facts.is_unzoned(named) and not facts.taken.startswith(named))):
        return named, NAME
    return facts.taken, facts.taken_by


def rename(document: ImageDocument, *, image_id: str) -> ImageDocument:
    """Return the document of the same photo under another name. A date that only the name says follows the name."""
    renamed = replace(document, image_id=image_id)
    if document.taken_by in (None, NAME):
        taken = date_of_name(image_id)
        renamed = replace(renamed, taken=taken, taken_by=NAME if taken else None)
    return renamed


def content_hash(data: bytes) -> str:
    """Return the name of these bytes: the first half of their SHA-256, 32 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:32]
