import pytest

from image_embeddings.errors import QueryError
from image_embeddings.es.filters import Filters, facet_aggs


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"taken_from": "yesterday"}, "from is 'yesterday'"),
        ({"taken_to": "2023-02-29"}, "to is '2023-02-29'"),
        ({"taken_from": "2024-5"}, "2024-05-31"),
        ({"place": (10.0, 0.0, 5.0, 1.0)}, "south, west, north, east"),
        ({"place": (0.0, 0.0, 91.0, 1.0)}, "latitudes"),
        ({"place": (float("nan"), 0.0, 1.0, 1.0)}, "box"),
        ({"values": {"orientation": ("round",)}}, "landscape, portrait, square"),
        ({"min_width": -1}, "min_width is -1"),
        ({"min_height": 2**31}, "min_height"),
        ({"values": {"label": ("x",) * 51}}, "51 values for label"),
        ({"values": {"folder": ("x" * 513,)}}, "longer than any"),
    ],
)
def test_a_filter_that_makes_no_sense_says_why(filters, said):
    with pytest.raises(QueryError, match=said):
        Filters(**filters)


def test_empty_filters_are_false():
    assert not Filters()
    assert not Filters(values={"folder": ("", "/")})
    assert Filters(min_width=1)


def test_a_facet_is_counted_without_its_own_filter_but_with_all_others():
    aggs = facet_aggs(Filters(values={"label": ("old",), "camera": ("Camera",)}))
    camera, label = {"term": {"camera_model": "Camera"}}, {"term": {"label": "old"}}
    assert aggs["label"]["filter"]["bool"]["filter"] == [camera]
    assert aggs["camera"]["filter"]["bool"]["filter"] == [label]
    assert aggs["folder"]["filter"]["bool"]["filter"] == [label, camera]


@pytest.mark.parametrize(
    ("place", "precision"),
    [(None, 4), ((-90.0, -180.0, 90.0, 180.0), 4), ((40.0, 10.0, 45.0, 15.0), 10), ((40.0, 179.0, 41.0, -179.0), 11)],
)
def test_places_are_grouped_in_cells_that_fit_the_map(place, precision):
    agg = facet_aggs(Filters(place=place))["place"]["aggs"]["values"]["geotile_grid"]
    assert agg["precision"] == precision


@pytest.mark.parametrize(
    ("first", "last", "step", "within"),
    [
        (None, None, "month", None),
        ("2024", None, "month", None),
        ("2023", "2024", "month", None),
        ("2024", "2024", "month", "2024"),
        ("2024-01-01", "2024-12", "month", "2024"),
        ("2024-05", "2024-05-31", "day", "2024-05"),
        ("2024-05-03", "2024-05-03", "day", "2024-05"),
    ],
)
def test_dates_are_counted_within_the_year_or_month_asked_for(first, last, step, within):
    agg = facet_aggs(Filters(taken_from=first, taken_to=last))["taken"]
    assert agg["aggs"]["values"]["date_histogram"]["calendar_interval"] == step
    limits = [clause["range"]["taken_local"] for clause in agg["filter"]["bool"]["filter"] if "range" in clause]
    said = [(limit["gte"].partition("|")[0], limit["lte"].partition("|")[0]) for limit in limits]
    assert said == ([(within, within)] if within else [])


def test_a_time_that_ends_before_it_begins_is_refused_when_it_is_searched_for():
    Filters(taken_from="2023", taken_to="2023-05").check_together()
    Filters(taken_from="2023-05-31", taken_to="2023").check_together()  # to its end
    with pytest.raises(QueryError, match="Swap them"):
        Filters(taken_from="2024", taken_to="2023").check_together()
