"""The texts in IPTC, the older form of a photo's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from image_embeddings.photos.exif import decoded

TITLE, KEYWORD, PROGRAM, CITY, COUNTRY, HEADLINE, CAPTION = (
    (2, 5),
    (2, 25),
    (2, 65),
    (2, 90),
    (2, 101),
    (2, 105),
    (2, 120),
)
DATE, TIME, DIGITAL_DATE, DIGITAL_TIME = (2, 55), (2, 60), (2, 62), (2, 63)
_BEGINNING = b"\x1c"  # of an entry
_CHARSET = (1, 90)
_UTF8 = b"\x1b%G"
_LATIN1 = tuple(b"\x1b" + set_of_letters + b"A" for set_of_letters in (b",", b"-", b".", b"/"))
_MAC = "mac_roman"
_MAX_EXTENDED = 4  # bytes of the length of an entry of more than 32 kB

Dataset = tuple[int, int]  # record number, dataset number


class Iptc:
    """The texts of one packet of IPTC.

    `software` are the names of the programs that wrote the photo. Programs for the old Macintosh used its letters and
    did not say so.
    """

    def __init__(self, packet: bytes = b"", *, software: str = "") -> None:
        self._records = list(records(packet))
        charsets = [data for dataset, data in self._records if dataset == _CHARSET]
        programs = [software, *(decoded(data) for dataset, data in self._records if dataset == PROGRAM)]
        macintosh = not charsets and any("macintosh" in name.lower() for name in programs)
        self._encoding = _MAC if macintosh else "cp1252"
        self._is_declared = any(charset in (_UTF8, *_LATIN1) for charset in charsets)

    def text(self, dataset: Dataset) -> str | None:
        """Return the first text of that kind; None if there is none."""
        return next(iter(self.texts(dataset)), None)

    def texts(self, dataset: Dataset) -> list[str]:
        """Return the text of each entry of that kind."""
        return [self._text(data) for kind, data in self._records if kind == dataset]

    def other_texts(self, dataset: Dataset, known: Sequence[str]) -> list[str]:
        """Return the texts of that kind that are not `known`.

        If the packet does not name its encoding, a text is known if it is one of `known` in any usual encoding.
        """
        found = [(data, self._text(data)) for kind, data in self._records if kind == dataset]
        return [text for data, text in found if self._is_declared or not {*_readings(data)} & {*known}]

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode(self._encoding, errors="replace")


def _readings(data: bytes) -> Iterator[str]:
    for encoding in ("utf-8", "cp1252", _MAC):
        yield data.decode(encoding, errors="replace").partition("\0")[0].strip()


def records(packet: bytes) -> Iterator[tuple[Dataset, bytes]]:
    """Yield ((record number, dataset number), data) of each entry, up to the first that is damaged."""
    packet = _in_order(packet)
    at = 0
    while packet[at : at + 1] == _BEGINNING and at + 5 <= len(packet):
        dataset, size = (packet[at + 1], packet[at + 2]), int.from_bytes(packet[at + 3 : at + 5], "big")
        at += 5
        if size > 0x7FFF:  # an entry of more than 32 kB: the size of its size, and then its size
            width = size & 0x7FFF
            if not 0 < width <= _MAX_EXTENDED:
                return
            size = int.from_bytes(packet[at : at + width], "big")
            at += width
        yield dataset, packet[at : at + size]
        at += size


def _in_order(packet: bytes) -> bytes:
    """Return the packet with its bytes in order, if a program wrote it as numbers of the other byte order."""
    if packet[:1] == _BEGINNING or packet[3:4] != _BEGINNING:
        return packet
    return b"".join(packet[at : at + 4][::-1] for at in range(0, len(packet), 4))


def of_resources(resources: bytes) -> bytes:
    """Return the IPTC in Photoshop's resources; empty if there is none, or if they are damaged before it."""
    at = 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        at += 6 + (1 + resources[at + 6] + 1) // 2 * 2  # a name of even length, with its length before it
        size = int.from_bytes(resources[at : at + 4], "big")
        if number == 0x0404:
            has_size = size or resources[at + 4 : at + 5] != _BEGINNING  # some programs leave it at zero
            return resources[at + 4 : at + 4 + size] if has_size else resources[at + 4 :]
        at += 4 + (size + 1) // 2 * 2
    return b""
