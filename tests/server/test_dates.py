"""Dates go by the calendar of the place: in filters, counts and order alike; on a real index, by the API.

The photos are those of public bug reports: taken around New Year in other zones, and several in one second.
"""

import pytest

from image_embeddings.es.image_index import ImageIndex
from tests.fakes import ColourEncoder
from tests.server.six_photos import photo
from tests.server.web_client import make_app

pytestmark = pytest.mark.server

TAKEN = {
    "newyear_tokyo.jpg": "2024-01-01T00:30:00+09:00",
    "newyear_berlin.jpg": "2024-01-01T00:10:00+01:00",
    "eve_newyork.jpg": "2023-12-31T21:00:00-05:00",
    "noon_of_no_zone.jpg": "2024-01-01T12:00:00",
    "winter_auckland.jpg": "2024-06-01T08:15:00+12:00",
    "day_of_no_time.jpg": "2019-08-14",
    "burst_b.jpg": "2024-07-01T12:00:00.50",
    "burst_a.jpg": "2024-07-01T12:00:00.90",
    "burst_c.jpg": "2024-07-01T12:00:00.10",
    "one_second_1.jpg": "2024-08-01T12:00:00",
    "one_second_2.jpg": "2024-08-01T12:00:00",
}
UNDATED = {"old_file.jpg": 1, "new_file.jpg": 2}  # mtime_ns


PARTS = {
    "year.jpg": "1960",
    "january.jpg": "1960-01",
    "may.jpg": "1960-05",
    "day.jpg": "1960-01-01",
    "moment.jpg": "1960-05-06T12:00:00",
    "later.jpg": "1961",
}


def serve(cluster, folder, photos):
    """Yield a client of the app for an index of these photos."""
    index = ImageIndex(cluster, name="test-dates")
    index.drop()
    index.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    assert list(index.documents.add(photos)) == []
    index.refresh()
    yield make_app(index, folder).test_client()
    index.drop()


@pytest.fixture(scope="module")
def client(cluster, tmp_path_factory):
    dated = [photo(name, "red", taken=taken, mtime_ns=100 - at) for at, (name, taken) in enumerate(TAKEN.items())]
    undated = [photo(name, "red", mtime_ns=mtime_ns) for name, mtime_ns in UNDATED.items()]
    yield from serve(cluster, tmp_path_factory.mktemp("dates"), [*dated, *undated])


@pytest.fixture
def parts(cluster, tmp_path):
    """A client for photos of which little more than the year is known."""
    yield from serve(cluster, tmp_path, [photo(name, "red", taken=taken) for name, taken in PARTS.items()])


@pytest.fixture
def found(client):
    """Return the photos that a search finds, in order."""

    def search(**query):
        answer = client.get("/api/v1/search", query_string={"k": 50, **query})
        assert answer.status_code == 200, answer.json
        return [hit["image_id"] for hit in answer.json["hits"]]

    return search


def of(prefix):
    return {name for name, taken in TAKEN.items() if taken.startswith(prefix)}


def test_filters_go_by_the_day_at_the_place(found):
    for period in ("2024-01-01", "2023-12-31", "2024-06-01", "2023", "2024", "2024-06", "2019-08-14"):
        assert set(found(**{"from": period, "to": period})) == of(period), period
    assert set(found(**{"from": "2024-01-02", "to": "2024-05-31"})) == set()


def test_counts_go_by_the_day_at_the_place(client):
    month = {"from": "2024-01", "to": "2024-01", "facets": True}
    assert client.get("/api/v1/search", query_string=month).json["facets"]["taken"] == [
        {"value": "2024-01-01", "count": 3}
    ]
    months = client.get("/api/v1/search", query_string={"from": "2023", "to": "2024", "facets": True}).json["facets"][
        "taken"
    ]
    assert {bucket["value"]: bucket["count"] for bucket in months} == {
        "2019-08-01": 1,
        "2023-12-01": 1,
        "2024-01-01": 3,
        "2024-06-01": 1,
        "2024-07-01": 3,
        "2024-08-01": 2,
    }


def test_the_order_is_by_the_clock_at_the_place_then_by_name_and_the_undated_come_last_by_the_time_of_their_files(
    found,
):
    dated = sorted(TAKEN, key=lambda name: (TAKEN[name].split("+")[0].removesuffix("-05:00"), name))
    undated = sorted(UNDATED, key=UNDATED.get)
    every = {"from": "1900", "sort": "oldest"}
    assert found(**every) == dated
    assert found(**every | {"sort": "newest"}) == dated[::-1]
    everything = {"orientation": "landscape"}
    assert found(**everything, sort="oldest") == [*dated, *undated]
    assert found(**everything, sort="newest") == [*dated[::-1], *undated[::-1]]


def test_a_year_or_a_month_passes_a_filter_that_contains_all_of_it(parts):
    def found(first, last):
        answer = parts.get("/api/v1/search", query_string={"k": 50, "from": first, "to": last, "sort": "oldest"})
        return [hit["image_id"] for hit in answer.json["hits"]]

    of_1960 = ["day.jpg", "january.jpg", "year.jpg", "may.jpg", "moment.jpg"]
    assert found("1960", "1960") == found("1960-01-01", "1960-12-31") == found("1959", "1960-12") == of_1960
    assert found("1960", None) == [*of_1960, "later.jpg"]
    assert found("1960-01", "1960-01") == ["day.jpg", "january.jpg"]
    assert found("1960-05", "1960-05") == ["may.jpg", "moment.jpg"]
    assert found("1960-01-01", "1960-01-01") == ["day.jpg"]
    assert found("1960-02", "1961-06") == ["may.jpg", "moment.jpg"]
    assert found(None, "1960-06") == ["day.jpg", "january.jpg", "may.jpg", "moment.jpg"]


def test_a_year_is_not_counted_by_months_nor_a_month_by_days(parts):
    def counts(**period):
        answer = parts.get("/api/v1/search", query_string={**period, "facets": True})
        return {bucket["value"]: bucket["count"] for bucket in answer.json["facets"]["taken"]}

    assert counts(**{"from": "1900"}) == {"1960-01-01": 2, "1960-05-01": 2}
    assert counts(**{"from": "1960", "to": "1960"}) == {"1960-01-01": 2, "1960-05-01": 2}
    assert counts(**{"from": "1960-01", "to": "1960-01"}) == {"1960-01-01": 1}
    assert counts(**{"from": "1960-05", "to": "1960-05"}) == {"1960-05-06": 1}


def test_a_part_of_a_date_is_answered_as_it_is(parts):
    hits = parts.get("/api/v1/search", query_string={"k": 50, "from": "1900"}).json["hits"]
    assert {hit["image_id"]: hit["taken"] for hit in hits} == PARTS
