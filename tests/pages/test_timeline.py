"""The bars of photos by date, and the links into a year or month and out again."""

import pytest

from app import create_app
from app.pages.filters import FilterForm
from app.pages.timeline import LENGTHS, first_day, last_day, make_timeline
from app.search_request.request import SearchRequest
from image_embeddings import Bucket, Facets, Filters, load_settings


@pytest.fixture(autouse=True)
def english():
    with create_app(load_settings({})).test_request_context(headers={"Accept-Language": "en"}):
        yield


def made(counts, *, step="month", first=None, last=None):
    facets = Facets(taken=tuple(Bucket(value=day, count=count) for day, count in counts.items()), taken_step=step)
    return make_timeline(facets, first=first, last=last, address=str)


def with_photos(timeline):
    return [bar for bar in timeline.bars if bar.href]


@pytest.mark.parametrize(
    ("step", "begin", "names"),
    [
        ("year", ["2024-01-01", "2025-01-01"], ["2024", "2025"]),
        ("month", ["2024-05-01", "2025-06-01"], ["May 2024", "June 2025"]),
        ("day", ["2024-05-01", "2025-06-02"], ["1 May 2024", "2 June 2025"]),
    ],
)
def test_a_bar_leads_to_its_period(step, begin, names):
    bars = with_photos(made(dict.fromkeys(begin, 1), step=step))
    assert [bar.words.partition(":")[0] for bar in bars] == names
    assert [bar.href for bar in bars] == [day[: LENGTHS[step]] for day in begin]


@pytest.mark.parametrize(
    ("step", "first", "last", "between"),
    [
        ("year", "2019-01-01", "2022-01-01", ["2020", "2021"]),
        ("month", "2023-11-01", "2024-02-01", ["December 2023", "January 2024"]),
        ("day", "2024-02-28", "2024-03-02", ["29 February 2024", "1 March 2024"]),
    ],
)
def test_times_without_photos_have_bars_without_links(step, first, last, between):
    bars = made({first: 1, last: 2}, step=step).bars
    assert [bar.words for bar in bars[1:-1]] == [f"{period}: 0 photos" for period in between]
    assert {(bar.height, bar.href) for bar in bars[1:-1]} == {(0, None)}
    assert [bar.height for bar in bars if bar.href] == [50, 100]


def test_a_time_without_photos_that_is_too_long_is_left_out():
    assert len(made({"1901-01-01": 1, "1960-01-01": 1}, step="year").bars) == 60
    assert len(made({"1901-01-01": 1, "1961-01-01": 1}, step="year").bars) == 2


def test_the_highest_bar_fills_the_height_and_the_lowest_can_be_seen():
    bars = made({"2024-05-01": 1000, "2024-06-01": 500, "2024-07-01": 1}).bars
    assert [bar.height for bar in bars] == [100, 50, 4]


def test_a_year_is_written_under_its_first_month_only():
    bars = with_photos(made({"2024-05-01": 1, "2024-06-01": 1, "2025-01-01": 1}))
    assert [bar.year for bar in bars] == ["2024", "", "2025"]


@pytest.mark.parametrize(
    ("first", "last", "chosen"),
    [
        (None, None, []),
        ("2024", "2024", ["2024-05", "2024-06"]),
        ("2024-06", None, ["2024-06", "2025-01"]),
        (None, "2024-05-01", ["2024-05"]),
        ("2024-06-30", "2025-01-01", ["2024-06", "2025-01"]),
    ],
)
def test_the_bars_of_the_time_asked_for_are_marked(first, last, chosen):
    bars = with_photos(made({"2024-05-01": 1, "2024-06-01": 1, "2025-01-01": 1}, first=first, last=last))
    assert [bar.href for bar in bars if bar.chosen] == chosen


@pytest.mark.parametrize(
    ("first", "last", "out"),
    [
        (None, None, []),
        ("2024", None, ["None"]),
        ("2024", "2024", ["None"]),
        ("2024-05", "2024-05", ["None", "2024"]),
        ("2024-05-03", "2024-05-03", ["None", "2024", "2024-05"]),
        ("2024-05-03", "2024-07", ["None", "2024"]),
        ("2023-05", "2024-05", ["None"]),
    ],
)
def test_the_ways_out_are_the_longer_times_around(first, last, out):
    assert [step.href for step in made({"2024-05-01": 1}, first=first, last=last).out] == out


def test_photos_without_dates_have_no_timeline_unless_the_search_has_dates():
    assert FilterForm(SearchRequest(k=1), Facets()).timeline is None
    assert FilterForm(SearchRequest(k=1, filters=Filters(taken_from="2024")), Facets()).timeline.bars == []


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ("2024", "2024-01-01", "2024-12-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2023-02-03", "2023-02-03", "2023-02-03"),
        (None, "", ""),
    ],
)
def test_a_year_or_month_has_a_first_and_a_last_day(given, first, last):
    assert (first_day(given), last_day(given)) == (first, last)
