"""Searches by several photos: a row for each, one photo of them, and all of them together."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.visit import choose, shown
from tests.browser.webapp import PHOTOS

pytestmark = [pytest.mark.browser, pytest.mark.server]

TRUCK, TIGER = "vehicles/fire-truck.jpg", "cats/tiger.jpg"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
_DROP = """(element, photos) => {
  const data = new DataTransfer();
  for (const [name, bytes] of photos) data.items.add(new File([Uint8Array.from(bytes)], name, {type: "image/jpeg"}));
  for (const kind of ["dragenter", "dragover", "drop"])
    element.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: data}));
}"""


def drop(page, *image_ids):
    photos = [[image_id.rpartition("/")[2], list((PHOTOS / image_id).read_bytes())] for image_id in image_ids]
    with page.expect_navigation():
        page.locator("main").evaluate(_DROP, photos)
    return page


def row(page, name):
    return page.get_by_role("region", name=name)


def first_of(page, name):
    return row(page, name).locator(".thumbnail").first.get_attribute("alt")


def press(page, name):
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


@pytest.fixture
def dropped(page):
    return drop(page, TRUCK, "captions.csv", TIGER)


def test_each_dropped_photo_has_a_row_and_a_bad_file_has_an_error_there(dropped):
    assert (first_of(dropped, "fire-truck.jpg"), first_of(dropped, "tiger.jpg")) == (TRUCK, TIGER)
    expect(row(dropped, "captions.csv")).to_contain_text("no known image format")
    expect(row(dropped, "fire-truck.jpg").get_by_alt_text("The photo you sent")).to_be_visible()


def test_a_row_links_to_all_results_of_its_photo(dropped):
    press(dropped, "All results – tiger.jpg")
    assert shown(dropped)[0] == TIGER
    assert len(shown(dropped)) == 20
    expect(dropped.locator(".chip")).to_have_count(1)


def test_all_photos_can_be_searched_by_together(dropped):
    press(dropped, "Search by all of them together")
    assert {TRUCK, TIGER} & set(shown(dropped)[:2])
    expect(dropped.locator(".chip")).to_have_count(2)


def test_a_row_scrolls_by_itself_and_the_page_does_not(visit):
    page = drop(visit("/", **PHONE), TRUCK, TIGER)
    strip = row(page, "tiger.jpg").locator(".strip")
    assert strip.evaluate("strip => strip.scrollWidth > strip.clientWidth")
    assert len(set(strip.locator(".tile").evaluate_all("tiles => tiles.map(tile => tile.offsetTop)"))) == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_photos_of_a_row_open_in_the_lightbox_and_lead_to_the_next(dropped):
    row(dropped, "tiger.jpg").locator("a.photo").first.click()
    expect(dropped.locator("#lightbox-name")).to_have_text("tiger.jpg")


def test_without_javascript_several_photos_are_sent_by_the_button(visit):
    page = visit("/", java_script_enabled=False)
    page.get_by_label("Search by a photo").set_input_files([PHOTOS / TRUCK, PHOTOS / TIGER])
    press(page, "Find similar")
    assert first_of(page, "tiger.jpg") == TIGER
    press(page, "All results – fire-truck.jpg")
    assert shown(page)[0] == TRUCK


@pytest.fixture
def large(tmp_path):
    """Two photos of some megabytes each."""
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), np.uint8)
    paths = [tmp_path / name for name in ("one.png", "two.png")]
    for path in paths:
        Image.fromarray(noise).save(path)
    return paths


def test_a_transparent_photo_that_is_sent_in_a_smaller_size_lies_on_white(page, tmp_path):
    sticker = Image.new("RGBA", (600, 600))
    sticker.paste("red", (200, 200, 400, 400))
    sticker.save(tmp_path / "sticker.png")
    page.locator("#ask").evaluate("form => { form.dataset.limit = 100 }")
    choose(page, tmp_path / "sticker.png")
    address = page.get_by_alt_text("The photo you sent").get_attribute("src")
    with Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))) as sent:
        assert min(sent.convert("RGB").getpixel((2, 2))) > 240


def test_photos_that_are_too_large_together_are_sent_in_a_smaller_size(page, large):
    assert sum(path.stat().st_size for path in large) > 15_000_000
    page.locator("#ask").evaluate("form => { form.dataset.limit = 10_000_000 }")
    with page.expect_request("**/similar_image") as request, page.expect_navigation():
        page.locator("#image").set_input_files(large)
    assert int(request.value.all_headers()["content-length"]) < 1_500_000
    expect(page.get_by_role("region")).to_have_count(2)
    expect(page.get_by_role("heading", name="one.png")).to_be_visible()
    expect(page.locator(".notice.error")).to_have_count(0)
