"""The map of photos: its drawing, and the links of its clusters."""

import pytest

from app import create_app
from app.pages.filters import FilterForm
from app.pages.world_map import HEIGHT, WIDTH, make_map, unwrap
from app.search_request.request import SearchRequest, format_place
from image_embeddings import Facets, Filters, PlaceBucket, load_settings

ROME, NAPLES, SYDNEY = (41.9, 12.5), (40.85, 14.27), (-33.9, 151.2)


@pytest.fixture(autouse=True)
def english():
    with create_app(load_settings({})).test_request_context(headers={"Accept-Language": "en"}):
        yield


def bucket(position, *, count=1):
    lat, lon = position
    return PlaceBucket(lat=lat, lon=lon, count=count, box=(lat, lon, lat, lon))


def drawn(*buckets, place=None):
    return make_map(buckets, place=box(place) if place else None, address=address)


def address(place):
    return format_place(place) if place else "everywhere"


def box(place):
    return tuple(map(float, place.split(",")))


def view_of(made):
    return tuple(map(float, made.view.split()))


def test_the_whole_world_is_drawn_if_the_search_has_no_place():
    made = drawn(bucket(ROME), bucket(SYDNEY, count=1500))
    assert view_of(made) == (0, 0, WIDTH, HEIGHT)
    assert (made.worlds, made.wider, made.whole) == ([0], None, None)
    sydney, rome = made.dots
    assert (sydney.x, sydney.y) == pytest.approx((662.4, 235.8))
    assert (rome.x, rome.y) == pytest.approx((385, 84.2))
    assert (sydney.number, rome.number) == ("1.5k", "1")
    assert rome.words == "1 photo near 41.9° N, 12.5° E"
    assert sydney.words == "1,500 photos near 33.9° S, 151.2° E"


def test_clusters_that_would_overlap_are_one_that_leads_to_all_their_photos():
    [dot] = drawn(bucket(ROME, count=2), bucket(NAPLES)).dots
    assert dot.number == "3"
    south, west, north, east = unwrap(box(dot.href))
    assert south < 40.85 < 41.9 < north
    assert west < 12.5 < 14.27 < east
    assert east - west < 2


def test_clusters_lie_apart_in_a_closer_view():
    made = drawn(bucket(ROME, count=2), bucket(NAPLES), place="40.8,12.4,42,14.3")
    assert [dot.number for dot in made.dots] == ["2", "1"]
    assert all(dot.radius < 0.4 for dot in made.dots)


def test_the_view_holds_the_place_of_the_search_in_the_proportions_of_the_map():
    x, y, width, height = view_of(drawn(place="40.8,12.4,42,14.3"))
    assert width / height == pytest.approx(WIDTH / HEIGHT, rel=1e-3)
    assert x < 2 * (180 + 12.4) < 2 * (180 + 14.3) < x + width
    assert y < 2 * (84 - 42) < 2 * (84 - 40.8) < y + height


def test_a_single_photo_links_to_a_part_large_enough_to_see_and_never_zooms_out():
    [dot] = drawn(bucket(ROME)).dots
    south, west, north, east = unwrap(box(dot.href))
    assert (north - south, east - west) == pytest.approx((1, 1))
    [inside] = drawn(bucket(ROME), place="41.85,12.45,41.95,12.55").dots
    assert inside.href is None


def test_several_photos_at_one_place_lead_to_the_place_itself():
    [dot] = drawn(bucket(ROME, count=5)).dots
    south, _, north, _ = unwrap(box(dot.href))
    assert north - south == pytest.approx(0.01, abs=0.001)


def test_over_the_date_line_the_world_is_drawn_twice_and_photos_lie_on_both_sides():
    made = drawn(bucket((-17.5, 178.5)), bucket((-21.1, -175.2)), place="-30,170,-10,-170")
    x, _, width, _ = view_of(made)
    assert made.worlds == [0, WIDTH]
    fiji, tonga = made.dots
    assert x < fiji.x < WIDTH < tonga.x < x + width
    assert Filters(place=box(tonga.href)).place[1] == pytest.approx(-175.7)


def test_a_cluster_over_the_date_line_leads_over_it():
    made = drawn(bucket((-17.5, 179.5)), bucket((-17.6, -179.5)), place="-80,100,80,-100")
    [dot] = made.dots
    south, west, north, east = box(dot.href)
    assert (west, east) == pytest.approx((179.4999, -179.4999), abs=0.001)
    assert Filters(place=(south, west, north, east))


@pytest.mark.parametrize(
    ("place", "wider"),
    [
        ("40,10,42,14", (32.4, 2.4, 49.6, 21.6)),
        ("-1,179,1,-179", (-8.6, 171.4, 8.6, -171.4)),
        ("-90,0,-80,10", (-90, -38, -42, 48)),
        ("0,-40,10,40", None),
    ],
)
def test_the_way_out_leads_to_a_wider_part_or_the_world(place, wider):
    made = drawn(place=place)
    assert made.whole == "everywhere"
    if wider is None:
        assert made.wider is None
    else:
        assert box(made.wider) == pytest.approx(wider, abs=0.1)


@pytest.mark.parametrize("position", [(-89.9, 10.0), (89.9, -179.9)])
def test_photos_beyond_the_edges_of_the_map_lie_at_its_edge(position):
    [dot] = drawn(bucket(position)).dots
    assert dot.radius <= dot.y <= HEIGHT - dot.radius
    assert dot.radius <= dot.x <= WIDTH - dot.radius
    assert Filters(place=box(dot.href))


def test_without_places_there_is_no_map():
    assert FilterForm(SearchRequest(k=1), Facets()).world_map is None
