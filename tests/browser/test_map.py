"""The map of the photos: by mouse, touch and keyboard, with and without JavaScript."""

import pytest
from playwright.sync_api import expect

from tests.browser.filters import go, screens, scripts, tags, unfold
from tests.browser.visit import shown

pytestmark = [pytest.mark.browser, pytest.mark.server]

PACIFIC = "/image_search?place=-30,170,-10,-170#place"


def map_of(page):
    return page.get_by_role("group", name="Map of the photos")


def places(page):
    return map_of(page).get_by_role("link").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")


@screens
@scripts
def test_clusters_zoom_in_and_links_zoom_out_again(visit_album, screen, scripts):
    page = visit_album("/", **screen, java_script_enabled=scripts)
    unfold(page)
    europe, *pacific = places(page)
    assert europe.startswith("4 photos near ")
    assert [name.partition(" near")[0] for name in pacific] == ["1 photo", "1 photo"]
    go(page, europe)
    expect(map_of(page)).to_be_visible()
    assert set(shown(page)) == {"italy/tabby.jpg", "italy/tiger.jpg", "italy/lion.jpg", "norway/husky.jpg"}
    assert len(places(page)) > 1
    go(page, "2 photos near 41.9° N, 12.5° E")
    assert set(shown(page)) == {"italy/tabby.jpg", "italy/tiger.jpg"}
    assert tags(page) == ["Place: 1.1 km around 41.9° N, 12.5° E"]
    go(page, "Further out")
    expect(map_of(page)).to_be_visible()
    assert set(shown(page)) == {"italy/tabby.jpg", "italy/tiger.jpg"}
    go(page, "Whole world")
    assert len(shown(page)) == 7


def test_one_photo_leads_to_its_part_of_the_world(visit_album):
    page = visit_album("/?#place")
    go(page, "1 photo near 17.5° S, 178.5° E")
    assert shown(page) == ["pacific/truck.jpg"]
    assert places(page) == []  # this is the closest view
    expect(map_of(page).get_by_label("1 photo near 17.5° S, 178.5° E")).to_be_visible()


def test_a_map_over_the_date_line_shows_both_sides(visit_album):
    page = visit_album(PACIFIC)
    assert set(shown(page)) == {"pacific/truck.jpg", "pacific/islands/balloon.jpg"}
    fiji, tonga = (map_of(page).locator("circle").nth(place).bounding_box() for place in (0, 1))
    west, east = sorted((fiji["x"], tonga["x"]))
    around = map_of(page).bounding_box()
    assert around["x"] < west < east < around["x"] + around["width"]
    assert east - west < around["width"] / 2
    expect(map_of(page).locator("image")).to_have_count(2)


def test_a_cluster_shows_the_keyboard_focus_and_zooms_in(visit_album):
    page = visit_album(PACIFIC)
    link = map_of(page).get_by_role("link").first
    before = link.locator("circle").evaluate("circle => getComputedStyle(circle).strokeWidth")
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(link).to_be_focused()
    assert link.locator("circle").evaluate("circle => getComputedStyle(circle).strokeWidth") != before
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert len(shown(page)) == 1


def test_on_a_phone_clusters_are_large_enough_to_touch(visit_album):
    page = visit_album("/", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    unfold(page)
    boxes = [circle.bounding_box() for circle in map_of(page).locator("circle").all()]
    assert len(boxes) == 3
    assert min(min(box["width"], box["height"]) for box in boxes) >= 24


def test_the_map_comes_from_this_server_only(visit_album):
    page = visit_album("/")
    unfold(page)
    page.wait_for_load_state("networkidle")
    loaded = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len([url for url in loaded if url.endswith("/world.svg")]) == 1


def test_photos_without_places_have_no_map(visit):
    page = visit("/")
    unfold(page)
    expect(page.locator(".map")).to_have_count(0)
