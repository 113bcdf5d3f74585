"""When photos were taken: bars of a histogram that lead to a year, a month or a day, and back."""

from calendar import monthrange
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from flask_babel import format_date, format_decimal, ngettext
from flask_babel import gettext as _

from image_embeddings import Facets

LENGTHS = {"year": len("2024"), "month": len("2024-05"), "day": len("2024-05-01")}
NAMES = {"year": "y", "month": "MMMM y", "day": "d MMMM y"}  # as babel's dates are written
SHORT_NAMES = {"year": "y", "month": "MMM", "day": "d"}
LOWEST = 4  # hundredths of the highest bar: what few there are can be seen


class Bar(NamedTuple):
    """The photos of one year, month or day."""

    words: str  # its name, and how many photos
    short_name: str
    year: str  # where the bar is the first of a year, and the others are months
    height: int  # hundredths of the highest
    chosen: bool
    href: str


class Step(NamedTuple):
    """A longer time, which leads out again."""

    name: str
    href: str


class Timeline(NamedTuple):
    """The bars, and the ways out of a year or month."""

    bars: list[Bar]
    out: list[Step]


def timeline_of(
    facets: Facets, *, first: str | None, last: str | None, address: Callable[[str | None], str]
) -> Timeline | None:
    """The timeline of these facets; `address` gives that of the search within a year, month or day, or of all dates."""
    if not (facets.taken or first or last):
        return None
    step, length = facets.taken_step or "year", LENGTHS[facets.taken_step or "year"]
    most = max((bucket.count for bucket in facets.taken), default=1)
    bars: list[Bar] = []
    years: set[str] = set()
    for bucket in facets.taken:
        period, year = bucket.value[:length], bucket.value[:4]
        day = date.fromisoformat(bucket.value)
        bars.append(
            Bar(
                words=ngettext(
                    "%(period)s: %(count)s photo",
                    "%(period)s: %(count)s photos",
                    bucket.count,
                    period=format_date(day, NAMES[step]),
                    count=format_decimal(bucket.count),
                ),
                short_name=format_date(day, SHORT_NAMES[step]),
                year=year if step == "month" and year not in years else "",
                height=max(LOWEST, round(100 * bucket.count / most)),
                chosen=bool(first or last) and _overlaps(period, first=first, last=last),
                href=address(period),
            )
        )
        years.add(year)
    return Timeline(bars, _out(first, last, address=address))


def first_day(given: str | None) -> str:
    """The first day of a year, month or day."""
    return f"{given}-01-01"[: LENGTHS["day"]] if given else ""


def last_day(given: str | None) -> str:
    """The last day of a year, month or day."""
    if not given or len(given) == LENGTHS["day"]:
        return given or ""
    month = given if len(given) == LENGTHS["month"] else f"{given}-12"
    year, number = month.split("-")
    return f"{month}-{monthrange(int(year), int(number))[1]}"


def _overlaps(period: str, *, first: str | None, last: str | None) -> bool:
    """Whether some of a period lies in the time asked for, which may be told by shorter or longer periods."""
    begins = not first or first[: len(period)] <= period[: len(first)]
    return begins and (not last or period[: len(last)] <= last[: len(period)])


def _out(first: str | None, last: str | None, *, address: Callable[[str | None], str]) -> list[Step]:
    """All dates, and the year and the month that the time asked for lies in, but for that itself."""
    if not (first or last):
        return []
    steps = [Step(_("All dates"), address(None))]
    for step in ("year", "month"):
        period = (first or "")[: LENGTHS[step]]
        whole = first == last == period
        if len(period) == LENGTHS[step] and (last or "")[: LENGTHS[step]] == period and not whole:
            steps.append(Step(format_date(date.fromisoformat(first_day(period)), NAMES[step]), address(period)))
    return steps
