"""The share of one process in a run that several processes divide among themselves."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

MOST = 10_000
_FORM = re.compile(r"(\d{1,5})/(\d{1,5})")


@dataclass(frozen=True, kw_only=True)
class Share:
    """Part `number` of `of` parts, counted from 1. Each photo is in one part, whatever else is in the source."""

    number: int
    of: int

    def __str__(self) -> str:
        """Return the text that `parse_share` reads."""
        return f"{self.number}/{self.of}"

    def has(self, image_id: str) -> bool:
        """Return whether a photo is in this part."""
        return zlib.crc32(image_id.encode()) % self.of == self.number - 1


def parse_share(text: str) -> Share:
    """Return the share that a text such as "3/16" names. Raise ValueError, with the reason, if it names none."""
    form = _FORM.fullmatch(text.strip())
    if not form:
        raise ValueError(f"'{text}' is no part. Write its number and how many there are: 3/16")
    number, of = map(int, form.groups())
    if not 1 <= of <= MOST:
        raise ValueError(f"There can be 1 to {MOST:,} parts, not {of:,}")
    if not 1 <= number <= of:
        raise ValueError(f"There is no part {number} of {of}. Parts are counted from 1 to {of}")
    return Share(number=number, of=of)
