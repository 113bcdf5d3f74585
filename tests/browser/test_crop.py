"""A part of a photo is chosen by dragging, by two presses or by keyboard, and then searched for."""

import re
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect

from tests.browser.visit import choose, settled_boxes, shown
from tests.browser.webapp import PHOTOS

pytestmark = [pytest.mark.browser, pytest.mark.server]

HUSKY, TRUCK = "dogs/husky.jpg", "vehicles/fire-truck.jpg"
OPENED = f"/image_search?q=dog#photo={HUSKY}"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("part", ["20,20,50,60", "10,45,90,5", "45,0,5,100"])
@pytest.mark.parametrize("context", [PHONE, {}], ids=["phone", "desktop"])
def test_the_part_searched_for_is_shown_as_a_small_picture(visit, part, context):
    page = visit(f"/image_search?like={HUSKY}%23xywh%3Dpercent:{part}&k=5", **context)
    box = page.locator(".query .cut").bounding_box()
    assert box["width"] <= 224
    assert box["height"] <= 144
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


@pytest.fixture
def chooser(visit):
    """The page with a photo from the lightbox, ready to choose a part of it."""
    return begin(visit(OPENED))


def begin(page):
    expect(page.locator("#lightbox .large")).to_have_js_property("complete", True)
    page.get_by_role("button", name="Search a part of the photo").click()
    expect(page.get_by_role("application", name="The part")).to_be_focused()
    return page


def at(page, x, y):
    """Return the point on the screen for a point in the photo, given as shares of its width and height."""
    (box,) = settled_boxes(page, "#part .whole")
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def take(page):
    with page.expect_navigation():
        page.get_by_role("button", name="Search this part").click()


def part_of(address):
    """Return left, top, width and height in percent, and the photo."""
    found = re.search(r"like=([^#]+)#xywh=percent:([\d.,]+)&", unquote(address) + "&")
    return found[1], [float(number) for number in found[2].split(",")]


def expect_searched(page, expected):
    image_id, part = part_of(page.url)
    assert image_id == HUSKY
    assert part == pytest.approx(expected, abs=1)
    expect(page.get_by_role("img", name=f"The part searched for: {HUSKY}")).to_be_visible()
    assert len(shown(page)) == 20


def test_a_rectangle_is_dragged(chooser):
    chooser.mouse.move(*at(chooser, 0.6, 0.5))
    chooser.mouse.down()
    chooser.mouse.move(*at(chooser, 0.3, 0.2), steps=4)
    chooser.mouse.move(*at(chooser, 0.2, 0.1), steps=4)
    chooser.mouse.up()
    take(chooser)
    expect_searched(chooser, [20, 10, 40, 40])


def test_pressing_two_corners_replaces_dragging(chooser):
    chooser.mouse.click(*at(chooser, 0.7, 0.2))
    chooser.mouse.click(*at(chooser, 0.4, 0.9))
    take(chooser)
    expect_searched(chooser, [40, 20, 30, 70])


def test_the_keyboard_moves_and_resizes_the_part(chooser):
    for key in ["ArrowLeft", "ArrowUp", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"]:
        chooser.keyboard.press(key)
    expect(chooser.locator("#part [role=status]")).to_contain_text("52 by 52 percent")
    with chooser.expect_navigation():
        chooser.keyboard.press("Enter")
    expect_searched(chooser, [23, 21, 52, 52])


def test_the_part_stays_inside_the_photo(chooser):
    for _ in range(15):
        chooser.keyboard.press("ArrowLeft")
        chooser.keyboard.press("Shift+ArrowDown")
    with chooser.expect_navigation():
        chooser.keyboard.press("Enter")
    expect_searched(chooser, [0, 25, 50, 75])


def test_escape_leads_back_to_the_open_photo(chooser):
    chooser.keyboard.press("Escape")
    expect(chooser.locator("#part")).to_be_hidden()
    expect(chooser.locator("#lightbox-name")).to_have_text("husky.jpg")
    expect(chooser).to_have_url(OPENED)


def test_a_finger_drags_a_rectangle_and_scrolls_nothing(visit):
    page = begin(visit(OPENED, **PHONE))
    touch = page.context.new_cdp_session(page)
    places = [at(page, share, share) for share in (0.1, 0.2, 0.4, 0.5)]
    for kind, place in zip(["touchStart", "touchMove", "touchMove", "touchMove"], places, strict=True):
        points = [{"x": place[0], "y": place[1]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    take(page)
    expect_searched(page, [10, 10, 40, 40])


def test_the_chip_of_a_part_shows_the_part_and_can_change_it(visit):
    page = visit(f"/image_search?q=snow&like={HUSKY}%23xywh=percent:20,10,50,50")
    expect(page.locator(".chip svg.cut")).to_be_visible()
    page.locator(".chip summary").click()
    page.get_by_role("button", name="Only a part of the photo").click()
    expect(page.get_by_role("application", name="The part")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    take(page)
    assert part_of(page.url)[1] == [23, 25, 50, 50]
    expect(page.get_by_role("searchbox")).to_have_value("snow")
    page.go_back()
    assert page.locator("input.part").get_attribute("value").endswith("percent:20,10,50,50")


def test_a_part_of_an_upload_is_searched_for(page):
    choose(page, PHOTOS / TRUCK)
    whole = page.locator("input.part").get_attribute("value")
    page.get_by_role("button", name="Search a part of it").click()
    expect(page.get_by_role("application", name="The part")).to_be_focused()
    take(page)
    expect(page.get_by_alt_text("The photo you sent")).to_be_visible()
    part = page.locator("input.part").get_attribute("value")
    assert part.startswith("data:image/webp;base64,")
    assert part != whole


def test_without_javascript_nothing_that_needs_it_is_offered(visit):
    page = visit(f"/similar_image?id={HUSKY}", java_script_enabled=False)
    page.locator(".chip summary").click()
    expect(page.get_by_role("button", name="Leave this out instead")).to_be_visible()
    expect(page.get_by_role("button", name="Only a part of the photo")).to_be_hidden()
