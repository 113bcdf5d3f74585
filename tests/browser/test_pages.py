"""General behaviour of the pages: files, titles, keyboard, small and dark screens, no JavaScript."""

import pytest
from playwright.sync_api import expect

from tests.browser.visit import follow, search, shown, tiles
from tests.browser.webapp import PHOTOS

pytestmark = [pytest.mark.browser, pytest.mark.server]

RESULTS = "/image_search?q=a+cat+with+green+eyes"
TITLES = {
    "/": "Image search",
    RESULTS: "a cat with green eyes – Image search",
    "/similar_image?id=cats/tabby-cat.jpg": "Photos like cats/tabby-cat.jpg – Image search",
    "/nowhere": "404 – Image search",
}
every_page = pytest.mark.parametrize("path", TITLES)


@every_page
def test_every_page_has_a_title_and_is_free_of_errors_and_foreign_requests(visit, path):
    expect(visit(path)).to_have_title(TITLES[path])
    assert visit.problems == []


def test_the_policy_is_in_force_and_the_tests_notice_a_breach(visit):
    page = visit("/")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.invalid/x.png\">')")
    expect(page.locator("img[src*=invalid]")).to_have_count(1)
    assert [problem for problem in visit.problems if "Content Security Policy" in problem]
    visit.problems.clear()


def test_no_other_site_can_be_reached_and_the_tests_notice_a_try(visit, address):
    page = visit("/", bypass_csp=True)
    elsewhere = address.replace("127.0.0.1", "localhost")  # it would answer, if Chromium found it
    with page.expect_event("requestfailed"), page.expect_console_message():
        page.evaluate("address => { new Image().src = address }", f"{elsewhere}/thumbnail/cats/tiger.jpg")
    assert f"foreign request: {elsewhere}/thumbnail/cats/tiger.jpg" in visit.problems
    visit.problems.clear()


@pytest.mark.parametrize("path", [path for path in TITLES if path != "/nowhere"])
def test_every_thumbnail_loads_and_is_webp(visit, path):
    page = visit(path)
    widths = tiles(page).evaluate_all(
        "images => Promise.all(images.map(async i => { i.loading = 'eager'; await i.decode(); return i.naturalWidth }))"
    )
    assert len(widths) == 20
    assert min(widths) > 0
    answer = page.request.get(tiles(page).last.get_attribute("src"))
    assert answer.headers["content-type"] == "image/webp"


@every_page
def test_no_page_scrolls_sideways(visit, path):
    page = visit(path, viewport={"width": 320, "height": 780})
    for width in (320, 360, 700, 1024):
        page.set_viewport_size({"width": width, "height": 780})
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_phone_shows_two_photos_side_by_side(visit):
    page = visit(RESULTS, viewport={"width": 360, "height": 780})
    first, second = (tiles(page).nth(place).bounding_box() for place in (0, 1))
    assert first["y"] == second["y"]
    assert second["x"] > first["x"]


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_colours_follow_the_system(visit, scheme, is_dark):
    body = visit(RESULTS, color_scheme=scheme).locator("body")
    ground, ink = body.evaluate(
        "body => ['backgroundColor', 'color'].map(name => Number(getComputedStyle(body)[name].match(/\\d+/)[0]))"
    )
    assert (ground < 64 and ink > 192) if is_dark else (ground > 192 and ink < 64)


# Keyboard


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def test_on_the_home_page_the_search_box_has_the_focus(page):
    page.keyboard.type("a hot air balloon")
    with page.expect_navigation():
        press(page, "Enter")
    assert shown(page)[0] == "vehicles/hot-air-balloon.jpg"


def test_tab_leads_to_the_skip_link_and_the_search_box(visit):
    page = visit(RESULTS)
    press(page, "Tab")
    expect(page.get_by_role("link", name="Skip to the photos")).to_be_focused()
    press(page, "Tab", "Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("ein Feuerwehrauto")  # tabbing into the box has selected its text
    with page.expect_navigation():
        press(page, "Enter")
    assert shown(page)[0] == "vehicles/fire-truck.jpg"


def test_the_skip_link_jumps_over_the_search(visit):
    page = visit(RESULTS)
    press(page, "Tab", "Enter", "Tab")
    expect(page.locator(".grid a.photo").first).to_be_focused()


def test_the_keyboard_opens_the_file_chooser(visit):
    page = visit(RESULTS)
    page.locator(".add summary").focus()
    press(page, "Tab")
    expect(page.get_by_label("Search by a photo")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        press(page, "Enter")
    assert chooser.value.is_multiple()


def test_the_focus_is_visible_on_every_element(visit):
    page = visit(RESULTS)
    for _ in range(10):
        press(page, "Tab")
        seen = page.evaluate(
            "() => { const at = document.activeElement;"
            " const frames = {file: at.labels?.[0], search: at.closest('.field')};"
            " return getComputedStyle(frames[at.type] ?? at).outlineStyle }"
        )
        assert seen == "solid", page.evaluate("document.activeElement.outerHTML")


# Without JavaScript


@pytest.fixture
def plain_page(visit):
    return visit("/", java_script_enabled=False)


def test_without_javascript_texts_are_searched_and_paged(plain_page):
    search(plain_page, "a bird")
    first = shown(plain_page)
    follow(plain_page, "More photos")
    assert len(first) == len(shown(plain_page)) == 20
    assert not set(first) & set(shown(plain_page))
    follow(plain_page, "Previous")
    assert shown(plain_page) == first


def test_without_javascript_a_tile_opens_the_photo_itself(plain_page):
    search(plain_page, "a cat with green eyes")
    with plain_page.expect_navigation() as opened:
        plain_page.locator(".grid a.photo").first.click()
    assert opened.value.url.endswith("/image/cats/tabby-cat.jpg")
    assert opened.value.body() == (PHOTOS / "cats/tabby-cat.jpg").read_bytes()


def test_without_javascript_a_photo_is_sent_by_the_button(plain_page):
    plain_page.get_by_label("Search by a photo").set_input_files(PHOTOS / "vehicles/fire-truck.jpg")
    with plain_page.expect_navigation():
        plain_page.get_by_role("button", name="Find similar").click()
    assert shown(plain_page)[0] == "vehicles/fire-truck.jpg"


def test_without_javascript_more_like_this_works(plain_page):
    search(plain_page, "a cat with green eyes")
    follow(plain_page, "More like this cats/tabby-cat.jpg")
    assert shown(plain_page)[0] == "cats/tiger.jpg"


def test_without_javascript_no_page_scrolls_sideways(visit):
    box = visit("/", java_script_enabled=False, viewport={"width": 360, "height": 780}).locator("main").bounding_box()
    assert box["width"] == 360
