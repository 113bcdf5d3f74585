"""Dates as cameras, programs and file names write them: read loosely, but never guessed.

A date is a text in ISO 8601, as precise as it was written: a year, a month, a day, or a moment, with its offset from
UTC if that is known.
"""

import re
from calendar import monthrange
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_tz
from pathlib import PurePosixPath

_FIRST_YEAR, _LAST_YEAR = 1826, 2099  # the year of the first photograph; a later year means a wrong clock
_FIRST_YEAR_OF_A_NAME = 1990  # of digital photos; an earlier number in a name is seldom a year

_GAP = r"[^\d+]{1,3}"  # what stands between numbers: colons, dashes, points, semicolons, blanks
_ZONE = r"Z|[+-]\d\d:?\d\d"
_DATE = re.compile(
    rf"\s*(\d{{4}}){_GAP}(\d\d?){_GAP}(\d\d?)"
    rf"(?:{_GAP}(\d\d?){_GAP}(\d\d?)(?:(?!\s*-\d\d:?\d\d(?!\d)){_GAP}(\d\d?)(?:[.,](\d{{1,9}}))?)?)?"
    rf"\s*([AP]\.?M\.?)?\s*({_ZONE})?",
    re.IGNORECASE,
)
_PARTIAL = re.compile(r"\s*(\d{4})(?:[-:/.](\d\d))?[\s\0]*")
_DIGITS_ALONE = re.compile(r"\s*(\d{4})[-:/.]?(\d\d)[-:/.]?(\d\d)[\s\0]*")
_TIME = re.compile(rf"\s*(\d\d):?(\d\d)(?::?(\d\d))?\s*({_ZONE})?")
_HALF_DAY = re.compile(r"(\d?\d)(:\d\d(?::\d\d)?)\s*([AP])\.?M\.?", re.IGNORECASE)
_KNOWN_ZONE = re.compile(r"(?:\b(?:GMT|UTC?|Z|[ECMP][SD]T)|[+-]\d\d:?\d\d)\s*$")  # CEST and others are not told apart
_TEXT_LENGTH = 100  # characters of a date in words
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):?([0-5]\d)")
_DIGITS = re.compile(r"\s*(\d{1,9})")
_WALL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST_ZONE, _LAST_ZONE = timedelta(hours=-12), timedelta(hours=14)  # offsets of the ends of the world

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
    without a time stays one, and so does a year or a month without a day, also if zeros stand for the rest. Return None
    if there is no date in the text, or an impossible one.

    Some cameras call the hour after midnight 24, and write 60 seconds when a minute ends.
    """
    found = _DATE.match(text or "")
    if found is None:
        partial = _PARTIAL.fullmatch(text or "")
        return _part_of_a_date(int(partial[1]), int(partial[2] or 0)) if partial else None
    numbers = [None if group is None else int(group) for group in found.groups()[:6]]
    year, month, day, hour, minute, second = numbers
    if day == 0:
        return _part_of_a_date(year or 0, month or 0)
    moment = _moment(year, month, day, _hour(hour, half=found[8]), minute, second)
    if moment is None or not _is_possible(moment.year):
        return None
    if hour is None:
        return moment.date().isoformat()
    digits = found[7] or _first_digits(fraction)
    return moment.isoformat() + (f".{digits}" if digits else "") + (_offset(found[9]) or _offset(offset) or "")


def parse_date_in_digits(day: str | None, time: str | None = None) -> str | None:
    """Return a date and a time of IPTC, such as 20190814 and 170506+0200, as `parse_date` does.

    Zeros stand for a day or a month that is not known.
    """
    found = _DIGITS_ALONE.fullmatch(day or "")
    if found is None:
        return parse_date(day)
    clock = _TIME.match(time or "")
    at = f" {clock[1]}:{clock[2]}:{clock[3] or '00'}{clock[4] or ''}" if clock else ""
    return parse_date(f"{found[1]}:{found[2]}:{found[3]}{at}")


def parse_date_in_words(text: str | None) -> str | None:
    """Return a date such as `Wed, 14 Aug 2019 17:05:06 +0200` as `parse_date` does, or one that `parse_date` reads."""
    written = (text or "")[:_TEXT_LENGTH]
    if found := parse_date(written):
        return found
    try:
        parts = parsedate_tz(_HALF_DAY.sub(_of_24_hours, written))
        if parts is None or not _is_possible(parts[0]):
            return None
        moment = datetime(*parts[:6])
    except (ValueError, IndexError, TypeError, OverflowError):  # the parser is not made for any text
        return None
    has_zone = _KNOWN_ZONE.search(written) and parts[9] is not None
    return moment.isoformat() + (_offset(_written_offset(parts[9] or 0)) or "" if has_zone else "")


def parse_timestamp(seconds: int) -> str | None:
    """Return a moment in seconds since 1970 as ISO 8601, in UTC; None if it is impossible."""
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return moment.isoformat() if _is_possible(moment.year) else None


def date_of_name(image_id: str) -> str | None:
    """Return the date in the name of a photo's file, as ISO 8601; None if there is none.

    Phones, messengers and programs for screenshots name files by it: IMG_20240501_123000.jpg, IMG-20240501-WA0003.jpg.
    """
    stem = PurePosixPath(image_id).stem
    if milliseconds := _MILLISECONDS.match(stem):
        at = _EPOCH + timedelta(milliseconds=int(milliseconds[1]))
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


def last_day(taken: str) -> date | None:
    """Return the last day of a date that is only a year or a month; None for a day or a moment."""
    if len(taken) > len("2019-08"):
        return None
    year, month = int(taken[:4]), int(taken[5:] or 12)
    return date(year, month, monthrange(year, month)[1])


def says_no_more(taken: str, other: str) -> bool:
    """Return whether the date `taken` is the date `other`, the same or with less of it: the day alone, or no offset."""
    if len(taken) <= len("2019-08-14"):
        return other.startswith(taken)
    whole = _WALL_TIME.match(taken)
    if whole is None or not other.startswith(whole[0]):
        return False
    offset = taken[whole.end() :].lstrip(".0123456789")
    return not offset or other.endswith(offset)


def is_within_a_day(utc: str, other: str) -> bool:
    """Return whether a moment in UTC and the date `other` may be the same on clocks of different zones.

    A moment may if it is less than a day away, and a day if it was that day somewhere. A year or a month has to contain
    the moment.
    """
    if last_day(other):
        return utc.startswith(other)
    moment, local = (datetime.fromisoformat(f"{text}T00:00:00"[: len("2019-08-14T17:05:06")]) for text in (utc, other))
    if len(other) == len("2019-08-14"):
        return _of_zone(moment, _FIRST_ZONE) <= local.date() <= _of_zone(moment, _LAST_ZONE)
    return abs(moment - local) < timedelta(days=1)


def _of_zone(utc: datetime, offset: timedelta) -> date:
    return (utc + offset).date()


def _is_year_of_a_name(year: int) -> bool:
    return _FIRST_YEAR_OF_A_NAME <= year <= _LAST_YEAR


def _is_possible(year: int) -> bool:
    return _FIRST_YEAR <= year <= _LAST_YEAR


def _part_of_a_date(year: int, month: int) -> str | None:
    """Return a year, or a month of it if that is not 0, as ISO 8601; None if they are impossible."""
    if not _is_possible(year) or not 0 <= month <= 12:
        return None
    return f"{year}-{month:02}" if month else f"{year}"


def _of_24_hours(written: "re.Match[str]") -> str:
    return f"{_hour(int(written[1]), half=written[3])}{written[2]}"


def _written_offset(seconds: int) -> str:
    sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"


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
