"""When photos were taken: bars of a histogram that lead to a year, a month or a day, and back."""

from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

from babel import dates
from flask_babel import format_date, format_decimal, get_locale, ngettext
from flask_babel import gettext as _

from image_embeddings import Facets

LENGTHS = {"year": len("2024"), "month": len("2024-05"), "day": len("2024-05-01")}
LONGEST = {"year": 366, "month": 31, "day": 1}  # days
SKELETONS = {"year": "y", "month": "yMMMM"}  # what a name has, in the order of the language
SHORT_NAMES = {"year": "y", "month": "MMM", "day": "d"}
MOST = 60  # bars up to which times without photos have theirs
LOWEST = 4  # hundredths of the highest bar: what few there are can be seen


class TimelineBar(NamedTuple):
    """The photos of one year, month or day, or that there are none."""

    words: str  # its name, and how many photos
    short_name: str
    year: str  # where the bar is the first of a year, and the others are months
    height: int  # hundredths of the highest
    chosen: bool
    href: str | None  # None where there are no photos


class Step(NamedTuple):
    """A longer time, which leads out again."""

    name: str
    href: str


class Timeline(NamedTuple):
    """The bars from the first to the last, and the ways out of a year or month."""

    bars: list[TimelineBar]
    out: list[Step]


def make_timeline(
    facets: Facets, *, first: str | None, last: str | None, address: Callable[[str | None], str]
) -> Timeline:
    """Return the timeline of these facets.

    `address` gives the address of the search within a year, month or day, or of all dates.
    """
    step, length = facets.taken_step or "year", LENGTHS[facets.taken_step or "year"]
    most = max((bucket.count for bucket in facets.taken), default=1)
    bars: list[TimelineBar] = []
    years: set[str] = set()
    for day, count in _without_gaps({date.fromisoformat(each.value): each.count for each in facets.taken}, step):
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
                short_name=format_date(day, SHORT_NAMES[step]),
                year=year if step == "month" and year not in years else "",
                height=max(LOWEST, round(100 * count / most)) if count else 0,
                chosen=bool(first or last) and _overlaps(period, first=first, last=last),
                href=address(period) if count else None,
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


def period_words(given: str) -> str:
    """A year, month or day in words."""
    step = next(step for step, length in LENGTHS.items() if length == len(given))
    return _name(date.fromisoformat(first_day(given)), step)


def _name(day: date, step: str) -> str:
    """The year, month or day that begins then, in words; as static/ui/words.js has it."""
    language = str(get_locale())
    locale = "en_GB" if language == "en" else language
    if step in SKELETONS:
        return str(dates.format_skeleton(SKELETONS[step], day, locale=locale))
    return str(dates.format_date(day, "long", locale=locale))


def _without_gaps(counts: dict[date, int], step: str) -> list[tuple[date, int]]:
    """The counts by the first day of each period, with those between that have none; unless they are too many."""
    if not counts:
        return []
    days = [min(counts)]
    while days[-1] < max(counts):
        if len(days) == MOST:
            return list(counts.items())
        days.append(_next(days[-1], step))
    return [(day, counts.get(day, 0)) for day in days]


def _next(day: date, step: str) -> date:
    """The first day of the next year, month or day."""
    later = day + timedelta(days=LONGEST[step])
    return later.replace(month=1, day=1) if step == "year" else later.replace(day=1) if step == "month" else later


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
            steps.append(Step(period_words(period), address(period)))
    return steps
