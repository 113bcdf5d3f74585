"""The lightbox, a photo large over the page: by mouse, keyboard and finger; its address and its details."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect

from tests.browser.visit import settled_boxes, shown
from tests.browser.webapp import PHOTOS

pytestmark = [pytest.mark.browser, pytest.mark.server]

QUERY = "/image_search?q=a+cat+with+green+eyes"
RESULTS = f"{QUERY}&k=5"  # few photos: each page needs time for each of its photos
FIRST, SECOND = "cats/tabby-cat.jpg", "cats/tiger.jpg"
PHONE = {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def results(visit):
    return visit(RESULTS)


@pytest.fixture
def opened(results):
    """The page of results with the first photo open."""
    return open_first(results)


def open_first(page):
    page.locator(".grid a.photo").first.click()
    expect(page.locator("#lightbox")).to_be_visible()
    return page


def address_of(page, image_id):
    return page.evaluate("path => new URL(path, location).href", f"/image/{image_id}")


def expect_photo(page, image_id):
    expect(page.locator("#lightbox-name")).to_have_text(Path(image_id).name)
    expect(page.locator("#lightbox .large")).to_have_js_property("src", address_of(page, image_id))
    expect(page).to_have_url(f"{RESULTS}#photo={image_id}")


def expect_closed(page):
    expect(page.locator("#lightbox")).to_be_hidden()
    expect(page).to_have_url(RESULTS)


def photo(page, image_id):
    return page.locator(f'.grid a.photo[data-id="{image_id}"]')


def test_a_tile_opens_its_photo_over_the_page(opened):
    expect_photo(opened, FIRST)
    large = opened.locator("#lightbox .large")
    assert large.evaluate("image => image.decode().then(() => image.naturalWidth)") == 451
    expect(large).to_have_attribute("alt", FIRST)


def test_the_photo_is_whole_and_no_larger_than_twice_its_size(opened):
    (box,) = settled_boxes(opened, "#lightbox .frame")
    assert box["width"] == 902
    assert box["width"] / box["height"] == pytest.approx(451 / 300, rel=0.02)


def test_a_tile_opens_another_tab_as_links_do(results):
    with results.context.expect_page() as other:
        results.locator(".grid a.photo").first.click(modifiers=["Control"])
    other.value.wait_for_url(f"**/image/{FIRST}")


def test_arrow_keys_move_on_and_back_and_escape_closes(results):
    results.locator(".grid a.photo").first.press("Enter")
    expect_photo(results, FIRST)
    results.keyboard.press("ArrowRight")
    expect_photo(results, SECOND)
    results.keyboard.press("ArrowLeft")
    expect_photo(results, FIRST)
    results.keyboard.press("Escape")
    expect_closed(results)


def test_the_focus_stays_inside_and_then_returns_to_the_last_photo_seen(opened):
    opened.keyboard.press("ArrowRight")
    expect_photo(opened, SECOND)
    for _ in range(12):
        opened.keyboard.press("Tab")
        assert opened.evaluate("document.activeElement.closest('header, main') === null")
    opened.keyboard.press("Escape")
    expect(photo(opened, SECOND)).to_be_focused()


def test_buttons_move_on_and_close(opened):
    expect(opened.get_by_role("button", name="Previous photo")).to_be_hidden()
    opened.get_by_role("button", name="Next photo").click()
    expect_photo(opened, SECOND)
    opened.get_by_role("button", name="Previous photo").click()
    expect_photo(opened, FIRST)
    opened.get_by_role("button", name="Close").click()
    expect_closed(opened)


def test_a_click_beside_the_photo_closes(opened):
    opened.locator("#lightbox .stage").click(position={"x": 120, "y": 20})
    expect_closed(opened)


def test_the_back_button_closes_and_forward_opens_again(opened):
    opened.keyboard.press("ArrowRight")
    expect_photo(opened, SECOND)
    opened.go_back()
    expect_closed(opened)
    opened.go_forward()
    expect_photo(opened, SECOND)


def test_a_lightbox_that_opens_again_before_its_end_is_reported_stays_open(opened):
    opened.evaluate("""() => {
      const {href, pathname, search} = location;
      for (const address of [pathname + search, href]) {
        history.replaceState(history.state, "", address);
        dispatchEvent(new PopStateEvent("popstate"));
      }
      return new Promise((told) => document.getElementById("lightbox").addEventListener("close", told));
    }""")
    expect_photo(opened, FIRST)


def test_a_shared_address_opens_the_photo_and_closing_leads_to_the_page(visit):
    page = visit(f"{RESULTS}#photo={SECOND}")
    expect_photo(page, SECOND)
    page.keyboard.press("Escape")
    expect_closed(page)


def test_a_shared_address_opens_a_photo_that_the_page_does_not_show(visit):
    page = visit(f"{RESULTS}#photo=vehicles/fire-truck.jpg")
    expect(page.locator("#lightbox .large")).to_have_attribute("src", "/image/vehicles/fire-truck.jpg")
    expect(page.get_by_role("button", name="Next photo")).to_be_hidden()


def test_the_address_of_an_unknown_photo_shows_an_error(visit):
    page = visit("/#photo=cats/nope.jpg")
    expect(page.get_by_role("alert")).to_contain_text("There is no photo 'cats/nope.jpg'")
    visit.problems.clear()  # Chromium's own message about the 404
    page.keyboard.press("Escape")
    expect(page).to_have_url("/")


def test_neighbours_are_loaded_ahead(visit):
    page = visit(RESULTS)
    with page.expect_request(lambda request: request.url.endswith(f"/image/{SECOND}")):
        page.locator(".grid a.photo").first.click()


def test_more_photos_load_while_the_user_goes_through_them(opened):
    ids = shown(opened)
    for _ in ids[1:]:
        opened.keyboard.press("ArrowRight")
    expect(opened.locator(".tile").nth(len(ids))).to_be_attached()
    opened.keyboard.press("ArrowRight")
    expect(opened.locator("#lightbox .place")).to_have_text(f"{len(ids) + 1} of 202")


def test_a_photo_that_cannot_be_loaded_shows_an_error(visit):
    page = visit(RESULTS)
    page.route("**/image/**", lambda route: route.abort())
    open_first(page)
    expect(page.get_by_role("alert")).to_have_text("This photo cannot be shown.")
    visit.problems.clear()


# Details

DESCRIBED = {
    "image_id": FIRST,
    "width": 6000,
    "height": 4000,
    "bytes": 12_345_678,
    "image_url": "/image/x",
    "thumbnail_url": "/thumbnail/x",
    "taken": "2024-05-01T12:30:00+02:00",
    "camera_make": "FUJIFILM",
    "camera_model": "X-T5",
    "lens": "XF35mm",
    "taken_by": "exif",
    "caption": "<b>A cat</b>",
    "title": "<i>Tabby</i>",
    "headline": "A cat looks up",
    "city": "Paris",
    "country": "France",
    "persons": ["Ada", "Grace"],
    "rating": 4,
    "altitude": -34.6,
    "keywords": ["cat", "eyes"],
    "label": "pet",
    "extra": {"photographer": "Anna"},
    "location": {"lat": 48.8584, "lon": 2.2945},
}
LINES = [
    "Title\n<i>Tabby</i>",
    "Headline\nA cat looks up",
    "Caption\n<b>A cat</b>",
    "Rating\n★★★★☆4 of 5 stars",
    "Taken\n1 May 2024 at 12:30 (UTC+02:00) EXIF",
    "Camera\nFUJIFILM X-T5",
    "Lens\nXF35mm",
    "Label\npet",
    "Keywords\ncat\neyes",
    "photographer\nAnna",
    "Persons\nAda\nGrace",
    "Place\nParis, France\n48.8584° N, 2.2945° E",
    "Altitude\n-35 m",
    "File\ntabby-cat.jpg",
    "Folder\ncats",
    "Size\n6,000 × 4,000 pixels, 12.3 MB",
]


@pytest.fixture
def described(results):
    results.route("**/api/v1/images/**", lambda route: route.fulfill(json=DESCRIBED))
    open_first(results)
    results.get_by_role("button", name="Details").click()
    return results


def test_the_panel_shows_all_known_details(described):
    panel = described.get_by_role("complementary", name="Details")
    for line in LINES:
        expect(panel.locator(".facts")).to_contain_text(line.replace("\n", ""))
    expect(panel).to_contain_text("very similar")
    expect(panel.locator("b")).to_have_count(0)


LESS_KNOWN = [
    ({"taken": "2023-12-24", "taken_by": "name"}, "Taken24 December 2023, by the name of the file"),
    ({"taken": "1960-05-06", "taken_by": "sidecar"}, "Taken6 May 1960, by a file beside the photo"),
    ({"taken": "1960-05", "taken_by": "xmp"}, "TakenMay 1960 XMP"),
    ({"taken": "1960", "taken_by": "iptc"}, "Taken1960 IPTC"),
    ({"rating": -1}, "Ratingrejected"),
    ({"location": None}, "PlaceParis, FranceAltitude"),
    ({"location": None, "city": None}, "PlaceFranceAltitude"),
    ({"title": "A cat", "caption": "A cat", "headline": None}, "CaptionA catRating"),
    ({"altitude": 0}, "Altitude0 m"),
]


def test_the_panel_says_no_more_than_is_known(visit):
    """Each photo of the page is one of these cases."""
    results = visit(QUERY)
    facts = {
        image_id: {name: value for name, value in {**DESCRIBED, **less}.items() if value is not None}
        for image_id, (less, _) in zip(shown(results), LESS_KNOWN, strict=False)
    }
    asked = re.compile(r"/api/v1/images/(.+)")
    results.route(asked, lambda route: route.fulfill(json=facts[unquote(asked.search(route.request.url)[1])]))
    open_first(results)
    results.get_by_role("button", name="Details").click()
    for number, (image_id, (_, said)) in enumerate(zip(facts, LESS_KNOWN, strict=True)):
        if number:
            results.keyboard.press("ArrowRight")
        expect(results.locator("#lightbox-name")).to_have_text(Path(image_id).name)
        expect(results.locator(".facts")).to_contain_text(said)


def test_what_is_not_known_or_not_rated_has_no_row(results):
    found = {name: DESCRIBED[name] for name in ("image_id", "width", "height", "bytes")} | {"rating": 0}
    results.route("**/api/v1/images/**", lambda route: route.fulfill(json=found))
    open_first(results)
    results.get_by_role("button", name="Details").click()
    expect(results.locator(".facts dt")).to_have_text(["Similarity", "File", "Folder", "Size"])


def test_the_dot_is_where_the_photo_was_taken(described):
    world, dot = settled_boxes(described, ".world img", ".world span")
    middle = dot["x"] + dot["width"] / 2 - world["x"], dot["y"] + dot["height"] / 2 - world["y"]
    assert middle[0] / world["width"] == pytest.approx((2.2945 + 180) / 360, abs=0.005)
    assert middle[1] / world["height"] == pytest.approx((84 - 48.8584) / 142, abs=0.01)


def test_the_panel_of_a_real_photo_opens_by_the_key_i_and_stays_open_for_the_next(opened):
    panel = opened.get_by_role("complementary", name="Details")
    opened.keyboard.press("i")
    expect(panel).to_contain_text("tabby-cat.jpg")
    opened.keyboard.press("ArrowRight")
    expect(panel).to_contain_text("tiger.jpg")
    opened.keyboard.press("i")
    expect(panel).to_be_hidden()


def test_the_original_is_downloaded(opened):
    with opened.expect_download() as download:
        opened.get_by_role("link", name="Download the original").click()
    assert download.value.suggested_filename == "tabby-cat.jpg"
    assert Path(download.value.path()).read_bytes() == (PHOTOS / FIRST).read_bytes()


def test_the_link_is_copied(visit):
    page = open_first(visit(RESULTS, permissions=["clipboard-read", "clipboard-write"]))
    page.get_by_role("button", name="Details").click()
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").endswith(f"{RESULTS}#photo={FIRST}")


def test_more_like_this_leads_to_similar_photos(described):
    with described.expect_navigation():
        described.get_by_role("dialog").get_by_role("link", name="More like this").click()
    expect(described.get_by_alt_text(f"The photo searched for: {FIRST}")).to_be_visible()


def test_the_photo_searched_for_opens_too(visit):
    page = visit(f"/similar_image?id={FIRST}")
    page.locator(".query a.photo").click()
    expect(page.locator("#lightbox .large")).to_have_js_property("src", address_of(page, FIRST))
    page.keyboard.press("Escape")
    expect(page.locator(".query a.photo")).to_be_focused()


# Touch


def swipe(page, x, y):
    """Move a finger across the photo by that distance."""
    touch = page.context.new_cdp_session(page)
    at = {"x": 180, "y": 350}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    for part in range(1, 6):
        moved = {"x": at["x"] + x * part / 5, "y": at["y"] + y * part / 5}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.fixture
def on_phone(visit):
    page = visit(RESULTS, **PHONE)
    page.locator(".grid a.photo").first.tap()
    expect_photo(page, FIRST)
    return page


def test_a_finger_moves_on_and_back_and_closes(on_phone):
    swipe(on_phone, -150, 10)
    expect_photo(on_phone, SECOND)
    swipe(on_phone, 150, -10)
    expect_photo(on_phone, FIRST)
    swipe(on_phone, 10, 150)
    expect_closed(on_phone)


def test_a_short_touch_changes_nothing(on_phone):
    swipe(on_phone, -20, 0)
    expect(on_phone.locator("#lightbox .frame")).to_have_css("transform", "none")
    expect_photo(on_phone, FIRST)


def test_on_a_phone_the_details_lie_below_the_photo(on_phone):
    on_phone.get_by_role("button", name="Details").tap()
    stage, panel = settled_boxes(on_phone, "#lightbox .stage", "#lightbox .details")
    assert stage["height"] > 200
    assert panel["y"] >= stage["y"] + stage["height"] - 1
    assert panel["width"] == 360
    assert on_phone.evaluate("document.documentElement.scrollWidth") == 360
