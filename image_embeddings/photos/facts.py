"""What the metadata of a photo says: in the file, or in a sidecar beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from PIL import Image

from image_embeddings.photos import captions, exif, places
from image_embeddings.photos.captions import Words
from image_embeddings.photos.dates import is_within_a_day, says_no_more
from image_embeddings.photos.places import Place
from image_embeddings.photos.taken import taken
from image_embeddings.photos.xmp import Xmp

LOWEST_RATING, HIGHEST_RATING = -1, 5  # rejected, and five stars; 0 is without a rating
_SAME_PLACE = 1e-3  # degrees, about a hundred metres


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What one source says of a photo. `taken`, `taken_by` and `rating` are as in ImageDocument."""

    taken: str | None = None
    taken_by: str | None = None
    has_zone: bool = True  # False if `taken` is a moment in UTC, wherever the photo was taken
    place: Place | None = None
    lens: str | None = None
    words: Words = field(default_factory=Words)
    rating: int | None = None

    def over(self, other: Facts) -> Facts:
        """Return what two sources say: this one, and `other` for what this one says nothing of.

        If the date here says no more than that of `other`, the other date is used. A date in UTC says no more if an
        unknown zone explains the difference.
        """
        by = self if self.taken and not self._agrees_with(other.taken) else other
        return Facts(
            taken=by.taken,
            taken_by=by.taken_by,
            has_zone=by.has_zone or (self.has_zone and self.taken == other.taken),
            place=self._place_over(other.place),
            lens=self.lens or other.lens,
            words=self.words.over(other.words),
            rating=other.rating if self.rating is None else self.rating,
        )

    def _agrees_with(self, date: str | None) -> bool:
        if self.taken is None or date is None:
            return False
        return says_no_more(self.taken, date) or self.is_unzoned(date)

    def is_unzoned(self, date: str) -> bool:
        """Return whether `taken` is a moment in UTC, of which `date` may be what the clock there showed."""
        return self.taken is not None and not self.has_zone and is_within_a_day(self.taken, date)

    def _place_over(self, other: Place | None) -> Place | None:
        """Return the place here, with the height of `other` if this one has none and both are the same place."""
        if self.place is None or other is None:
            return self.place or other
        apart = max(abs(self.place.latitude - other.latitude), abs(self.place.longitude - other.longitude))
        if self.place.altitude is None and apart <= _SAME_PLACE:
            return replace(self.place, altitude=other.altitude)
        return self.place


def read_facts(*, exif_: Image.Exif | None = None, xmp: Xmp, iptc: bytes = b"", creation_time: str = "") -> Facts:
    """Return what these kinds of metadata say together. `creation_time` is as in `Decoded`."""
    tags = Image.Exif() if exif_ is None else exif_
    date, source = taken(exif=tags, xmp=xmp, iptc=iptc, creation_time=creation_time)
    return Facts(
        taken=date,
        taken_by=source,
        place=places.place(tags, xmp),
        lens=exif.lens(tags) or _lens_in_xmp(xmp),
        words=captions.words(xmp=xmp, iptc=iptc, exif=tags),
        rating=_rating(exif.number(xmp.text("xmp:Rating")), exif.rating(tags)),
    )


def _lens_in_xmp(packet: Xmp) -> str | None:
    names = (exif.lens_name(packet.text(name)) for name in ("exifEX:LensModel", "aux:Lens"))
    return next((name for name in names if name), None)


def _rating(*found: float | None) -> int | None:
    """Return the first number that is a rating, as a whole number; None if there is none."""
    ratings = (number for number in found if number is not None and LOWEST_RATING <= number <= HIGHEST_RATING)
    return next((round(number) for number in ratings), None)
