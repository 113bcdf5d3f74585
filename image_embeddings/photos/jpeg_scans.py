"""The scans of a JPEG. Each says something of the picture, and a decoder goes over all pixels for each.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_START = b"\xff\xda"
_END = 0xD9
# What ends the compressed bytes of a scan: a marker, and neither a stuffed byte (00), a fill byte nor a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def count_scans(data: bytes) -> int:
    """Return how many scans the first picture in a JPEG has. What follows it, such as a film, does not count."""
    return sum(1 for _ in _find_scans(data))


def has_more_scans(data: bytes, most: int) -> bool:
    """Return whether `count_scans` is above `most`. For nearly all files this costs no walk through their markers."""
    return data.count(_START) > most and count_scans(data) > most


def count_bands_of_first_scan(data: bytes) -> int:
    """Return how many colours the first scan of a JPEG has; 0 if there is none."""
    at = next(_find_scans(data), None)
    return data[at + 4] if at is not None and at + 4 < len(data) else 0


def _find_scans(data: bytes) -> Iterator[int]:
    """Yield where the scans of the first picture begin."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _END:
            return
        if marker == 0xFF:
            at += 1
            continue
        begin, at = at, at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        if marker == _START[1]:
            yield begin
            found = _MARKER.search(data, at)
            if found is None:
                return
            at = found.start()
