"""Dates as cameras, programs and file names write them: read loosely, but never guessed."""

import re
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath

_FIRST_YEAR, _LAST_YEAR = 1826, 2099  # the year of the first photograph; a later year means a wrong clock
_FIRST_YEAR_OF_A_NAME = 1990  # of digital photos; an earlier number in a name is seldom a year

_GAP = r"[^\d+]{1,3}"  # what stands between numbers: colons, dashes, points, semicolons, blanks
_DATE = re.compile(
    rf"\s*(\d{{4}}){_GAP}(\d\d?){_GAP}(\d\d?)"
    rf"(?:{_GAP}(\d\d?){_GAP}(\d\d?)(?:{_GAP}(\d\d?)(?:[.,](\d{{1,9}}))?)?)?"
    r"\s*([AP]\.?M\.?)?\s*(Z|[+-]\d\d:?\d\d)?",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):?([0-5]\d)")
_DIGITS = re.compile(r"\s*(\d{1,9})")

# Names that begin with the moment in milliseconds since 1970, in UTC.
_MILLISECONDS = re.compile(r"(?:FB_IMG_|mmexport|received_|Snapchat-)?(\d{13})(?!\d)", re.IGNORECASE)
_UTC_NAMES = ("PXL_",)  # names with the time in UTC
_NAME = re.compile(
    r"(?<!\d)(\d{4})([-_.]?)(\d\d)\2(\d\d)"  # 20240501, 2024-05-01
    r"(?:(?:[-_. T]| at |, )(\d\d)[-_.:h]?(\d\d)[-_.:m]?(\d\d)(?:[-_.]?(\d{3}))?)?(?!\d)"
)


def parse_date(text: str | None, *, offset: str | None = None, fraction: str | None = None) -> str | None:
    """Return a written date as ISO 8601, local time, with its offset from UTC if that is known.

    `offset` and `fraction` (the digits after the point of the second) are those of fields beside the date. A date
    without a time stays one. Return None if there is no date in the text, or an impossible one.

    Some cameras call the hour after midnight 24, and write 60 seconds when a minute ends.
    """
    found = _DATE.match(text or "")
    if found is None:
        return None
    numbers = [None if group is None else int(group) for group in found.groups()[:6]]
    year, month, day, hour, minute, second = numbers
    moment = _moment(year, month, day, _hour(hour, half=found[8]), minute, second)
    if moment is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return None
    if hour is None:
        return moment.date().isoformat()
    digits = found[7] or _first_digits(fraction)
    return moment.isoformat() + (f".{digits}" if digits else "") + (_offset(found[9]) or _offset(offset) or "")


def date_of_name(image_id: str) -> str | None:
    """Return the date in the name of a photo's file, as ISO 8601; None if there is none.

    Phones, messengers and programs for screenshots name files by it: IMG_20240501_123000.jpg, IMG-20240501-WA0003.jpg.
    """
    stem = PurePosixPath(image_id).stem
    if milliseconds := _MILLISECONDS.match(stem):
        at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=int(milliseconds[1]))
        return at.isoformat(timespec="milliseconds") if _is_year_of_a_name(at.year) else None
    for found in _NAME.finditer(stem):
        year, month, day, hour, minute, second = (
            None if found[group] is None else int(found[group]) for group in (1, 3, 4, 5, 6, 7)
        )
        moment = _moment(year, month, day, hour, minute, second)
        if moment is None or not _is_year_of_a_name(moment.year):
            continue
        if hour is None:
            return moment.date().isoformat()
        offset = "+00:00" if stem.startswith(_UTC_NAMES) else ""
        return moment.isoformat() + (f".{found[8]}" if found[8] else "") + offset
    return None


def _is_year_of_a_name(year: int) -> bool:
    return _FIRST_YEAR_OF_A_NAME <= year <= _LAST_YEAR


def _hour(hour: int | None, *, half: str | None) -> int | None:
    """Return the hour of the day; `half` is AM or PM if the clock has twelve hours."""
    if hour is None or half is None or not 1 <= hour <= 12:
        return hour
    return hour % 12 + (12 if half[0] in "pP" else 0)


def _moment(
    year: int | None, month: int | None, day: int | None, hour: int | None, minute: int | None, second: int | None
) -> datetime | None:
    hour = 0 if hour == 24 else hour or 0
    second = 59 if second == 60 else second or 0
    try:
        return datetime(year or 0, month or 0, day or 0, hour, minute or 0, second)
    except ValueError:  # a thirteenth month
        return None


def _offset(text: str | None) -> str | None:
    """Return an offset from UTC in the form +02:00; None if it is none, or an impossible one."""
    if text in ("Z", "z"):
        return "+00:00"
    found = _OFFSET.fullmatch((text or "").partition("\0")[0].strip())
    return f"{found[1]}{found[2]}:{found[3]}" if found else None


def _first_digits(text: str | None) -> str:
    found = _DIGITS.match(text or "")
    return found[1] if found else ""
