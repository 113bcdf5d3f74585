"""The grid of photos: rows, proportions, no gaps, nothing that jumps; captions, previews, the arrow keys."""

from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tests.browser.visit import tiles

pytestmark = [pytest.mark.browser, pytest.mark.server]

RESULTS = "/image_search?q=a+cat+with+green+eyes&k=50"
ALL = "/image_search?orientation=landscape&orientation=portrait&orientation=square&k=50"
WIDTHS = (360, 768, 1440)
BOXES = """images => images.map(image => ({
  ...image.getBoundingClientRect().toJSON(), ratio: image.getAttribute('width') / image.getAttribute('height')
}))"""


def rows(page):
    """Return the boxes of the photos, by row."""
    found = {}
    for box in tiles(page).evaluate_all(BOXES):
        found.setdefault(round(box["top"]), []).append(box)
    return [found[top] for top in sorted(found)]


def test_rows_are_full_and_each_photo_keeps_its_proportions(visit):
    page = visit(ALL)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        grid = page.locator(".grid").bounding_box()
        *full, _last = rows(page)
        assert len(full) > 4, width
        for row in full:
            check_row(row, grid)


def check_row(row, grid):
    """Fail unless the row fills the grid, and each of its photos has its proportions."""
    assert max(box["height"] for box in row) - min(box["height"] for box in row) < 0.6
    assert row[0]["left"] == pytest.approx(grid["x"], abs=1)
    assert row[-1]["right"] == pytest.approx(grid["x"] + grid["width"], abs=1)
    for left, right in pairwise(row):
        assert 3 <= right["left"] - left["right"] <= 7
    for box in row:
        assert box["width"] / box["height"] == pytest.approx(box["ratio"], rel=0.012)


def test_the_last_row_is_not_stretched(visit):
    page = visit("/image_search?q=a+cat&k=1")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert tiles(page).bounding_box()["height"] < 200, width


@pytest.mark.parametrize("javascript", [True, False])
def test_nothing_jumps_while_photos_load(visit, javascript):
    page = visit("/", fresh=True, java_script_enabled=javascript)
    before = rows(page)
    page.wait_for_load_state("networkidle")
    assert rows(page) == before


def test_chromium_counts_no_layout_shift(visit):
    page = visit(RESULTS, fresh=True)
    page.wait_for_load_state("networkidle")
    page.evaluate("document.body.insertAdjacentHTML('afterbegin', '<p>A shift, so that there is an entry.</p>')")
    shifts = page.evaluate(
        "() => new Promise(resolve => new PerformanceObserver(list => resolve(list.getEntries().length))"
        ".observe({type: 'layout-shift', buffered: true}))"
    )
    assert shifts == 1


def test_a_caption_appears_on_hover_and_focus(visit):
    page = visit(RESULTS)
    caption = page.locator("figcaption").nth(1)
    expect(caption).to_have_css("opacity", "0")
    page.locator(".tile").nth(1).hover()
    expect(caption).to_have_css("opacity", "1")
    page.mouse.move(0, 0)
    expect(caption).to_have_css("opacity", "0")
    page.locator(".grid a.photo").nth(1).focus()
    expect(caption).to_have_css("opacity", "1")


def test_a_caption_is_always_there_if_the_device_cannot_hover(visit):
    page = visit(RESULTS, has_touch=True, is_mobile=True, viewport={"width": 360, "height": 780})
    expect(page.locator("figcaption").nth(1)).to_have_css("opacity", "1")
    box = page.locator(".tile .like").nth(1).bounding_box()
    assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8


def test_thumbnails_fade_in_unless_the_user_wants_no_motion(visit):
    page = visit("/")
    expect(page.locator(".thumbnail.waiting")).to_have_count(0)
    assert page.locator(".thumbnail").first.evaluate("i => getComputedStyle(i).transitionDuration") == "0.3s"
    calm = visit("/", reduced_motion="reduce").locator(".thumbnail").first
    assert calm.evaluate("i => getComputedStyle(i).transitionDuration") == "0s"


# Arrow keys


@pytest.fixture
def photos(visit):
    page = visit(RESULTS)
    page.locator(".grid a.photo").first.focus()
    return page.locator(".grid a.photo")


def press(photos, *keys):
    for key in keys:
        photos.page.keyboard.press(key)


def test_left_and_right_lead_from_photo_to_photo(photos):
    press(photos, "ArrowRight", "ArrowRight", "ArrowLeft")
    expect(photos.nth(1)).to_be_focused()


def test_down_and_up_lead_from_row_to_row(photos):
    in_first_row = len(rows(photos.page)[0])
    press(photos, "ArrowDown")
    expect(photos.nth(in_first_row)).to_be_focused()
    press(photos, "ArrowUp")
    expect(photos.first).to_be_focused()


def test_at_the_edge_the_arrow_keys_keep_their_usual_effect(photos):
    press(photos, "ArrowLeft", "ArrowUp")
    expect(photos.first).to_be_focused()
