"""The timeline: a histogram of when photos were taken, whose bars lead to a year, a month or a day, and back."""

from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from babel import dates
from flask_babel import get_locale

from app.web.languages import format_decimal, ngettext
from app.web.languages import gettext as _
from image_embeddings import Facets

LENGTHS = {"year": len("2024"), "month": len("2024-05"), "day": len("2024-05-01")}
LONGEST = {"year": 366, "month": 31, "day": 1}  # days
SKELETONS = {"year": "y", "month": "yMMMM"}  # the parts of a name; their order depends on the language
SHORT_NAMES = {"year": "y", "month": "MMM", "day": "d"}
MOST = 60  # bars; if there would be more, periods without photos have no bar
NAMES_KEPT = 1_000  # of days, months and years: pages show the same ones again
LOWEST = 4  # hundredths of the highest bar, so that a bar of few photos can be seen


class TimelineBar(NamedTuple):
    """The bar of one year, month or day, also of one without photos."""

    words: str  # its name, and how many photos
    short_name: str
    year: str  # set if the bars are months and this is the first bar of a year; else empty
    height: int  # hundredths of the highest
    chosen: bool
    href: str | None  # None if there are no photos, or if the search is too long for a link


class Step(NamedTuple):
    """A link to a longer period, out of the present one."""

    name: str
    href: str


class Timeline(NamedTuple):
    """The bars from the first to the last, and the links out of a year or month."""

    bars: list[TimelineBar]
    out: list[Step]


def make_timeline(
    facets: Facets, *, first: str | None, last: str | None, address: Callable[[str | None], str | None]
) -> Timeline:
    """Return the timeline of these facets.

    `address` gives the address of the search within a year, month or day, or of all dates. If it gives None, there
    is no link.
    """
    step, length = facets.taken_step or "year", LENGTHS[facets.taken_step or "year"]
    most = max((bucket.count for bucket in facets.taken), default=1)
    bars: list[TimelineBar] = []
    years: set[str] = set()
    for day, count in _fill_gaps({date.fromisoformat(each.value): each.count for each in facets.taken}, step):
        period, year = day.isoformat()[:length], day.isoformat()[:4]
        bars.append(
            TimelineBar(
                words=ngettext(
                    "%(period)s: %(count)s photo",
                    "%(period)s: %(count)s photos",
                    count,
                    period=_name(day, step),
                    count=format_decimal(count),
                ),
                short_name=_short_name_in(str(get_locale()), day, step),
                year=year if step == "month" and year not in years else "",
                height=max(LOWEST, round(100 * count / most)) if count else 0,
                chosen=bool(first or last) and _overlaps(period, first=first, last=last),
                href=address(period) if count else None,
            )
        )
        years.add(year)
    return Timeline(bars, _out(first, last, address=address))


def first_day(given: str | None) -> str:
    """Return the first day of a year, month or day; empty if none is given."""
    return f"{given}-01-01"[: LENGTHS["day"]] if given else ""


def last_day(given: str | None) -> str:
    """Return the last day of a year, month or day; empty if none is given."""
    if not given or len(given) == LENGTHS["day"]:
        return given or ""
    month = given if len(given) == LENGTHS["month"] else f"{given}-12"
    year, number = month.split("-")
    return f"{month}-{monthrange(int(year), int(number))[1]}"


def period_words(given: str) -> str:
    """Return a year, month or day in words."""
    step = next(step for step, length in LENGTHS.items() if length == len(given))
    return _name(date.fromisoformat(first_day(given)), step)


def _name(day: date, step: str) -> str:
    """Return the year, month or day that begins on this day, in words; in the locale that static/ui/words.js uses."""
    language = str(get_locale())
    return _name_in("en_GB" if language == "en" else language, day, step)


@lru_cache(NAMES_KEPT)
def _name_in(locale: str, day: date, step: str) -> str:
    if step in SKELETONS:
        return str(dates.format_skeleton(SKELETONS[step], day, locale=locale))
    return str(dates.format_date(day, "long", locale=locale))


@lru_cache(NAMES_KEPT)
def _short_name_in(locale: str, day: date, step: str) -> str:
    return str(dates.format_date(day, SHORT_NAMES[step], locale=locale))


def _fill_gaps(counts: dict[date, int], step: str) -> list[tuple[date, int]]:
    """Return the counts by the first day of each period, with a count of 0 for periods between them.

    If that is more than MOST periods, return the given counts only.
    """
    if not counts:
        return []
    days = [min(counts)]
    while days[-1] < max(counts):
        if len(days) == MOST:
            return list(counts.items())
        days.append(_next(days[-1], step))
    return [(day, counts.get(day, 0)) for day in days]


def _next(day: date, step: str) -> date:
    """Return the first day of the next year, month or day."""
    later = day + timedelta(days=LONGEST[step])
    return later.replace(month=1, day=1) if step == "year" else later.replace(day=1) if step == "month" else later


def _overlaps(period: str, *, first: str | None, last: str | None) -> bool:
    """Return whether a part of a period lies between `first` and `last`, which may be shorter or longer periods."""
    begins = not first or first[: len(period)] <= period[: len(first)]
    return begins and (not last or period[: len(last)] <= last[: len(period)])


def _out(first: str | None, last: str | None, *, address: Callable[[str | None], str | None]) -> list[Step]:
    """Return the links out: all dates, then the year and the month that contain the time asked for.

    The time asked for is not among them. The list is empty if no time is asked for.
    """
    if not (first or last):
        return []
    steps = [(_("All dates"), address(None))]
    for step in ("year", "month"):
        period = (first or "")[: LENGTHS[step]]
        whole = first == last == period
        if len(period) == LENGTHS[step] and (last or "")[: LENGTHS[step]] == period and not whole:
            steps.append((period_words(period), address(period)))
    return [Step(name, href) for name, href in steps if href]
