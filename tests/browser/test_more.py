"""More photos on the same page: they load near the end or by the link, and are there again after coming back."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.visit import follow, shown

pytestmark = [pytest.mark.browser, pytest.mark.server]

RESULTS = "/image_search?q=a+bird"
LATER = "**/image_search?*offset=*"


@pytest.fixture
def results(visit):
    return visit(RESULTS)


def load_more(page):
    """Press the link without scrolling to it: scrolling loads more photos by itself, and how many is a race."""
    page.get_by_role("link", name="More photos").dispatch_event("click")


def press_enter(page, link):
    """Do the same with the keyboard."""
    page.get_by_role("link", name=link).evaluate("link => link.focus({preventScroll: true})")
    page.keyboard.press("Enter")


def expect_tiles(page, count):
    expect(page.locator(".tile")).to_have_count(count)


def scroll_to_the_end(page):
    page.mouse.wheel(0, 20_000)


def offset(page):
    return page.evaluate("scrollY")


def test_nothing_is_loaded_until_the_user_scrolls_down(results):
    results.wait_for_load_state("networkidle")
    expect_tiles(results, 20)


def test_more_photos_load_near_the_end_until_there_are_no_more(results):
    link = results.get_by_role("link", name="More photos")
    while link.count():
        scroll_to_the_end(results)
        results.wait_for_timeout(50)
    assert len(shown(results)) == len(set(shown(results))) == 202
    expect(results).to_have_url(RESULTS)


# An observer that also reports earlier moments, as that of a busy browser does.
TELLS_LATE = """
window.IntersectionObserver = class extends IntersectionObserver {
  constructor(tell, options) {
    const told = [];
    super((entries) => { told.push(...entries); tell(told); }, options);
  }
};
"""


def test_more_photos_load_if_the_observer_reports_several_moments_at_once(visit):
    page = visit("/", fresh=True)  # the script runs in all pages of this tab
    page.add_init_script(TELLS_LATE)
    page.goto(RESULTS)
    page.mouse.wheel(0, 10)
    expect(page.locator("html")).to_have_js_property("scrollTop", 10)
    scroll_to_the_end(page)
    expect(page.locator(".tile").nth(20)).to_be_attached()


def test_the_count_is_updated_and_read_out(results):
    load_more(results)
    expect(results.locator("#said")).to_have_text("Photos 1 to 40 of 202 are shown.")
    expect(results.locator(".query .count")).to_contain_text("1–40 of 202 photos")


def test_the_keyboard_focus_moves_to_the_first_new_photo(results):
    press_enter(results, "More photos")
    expect(results.locator(".grid a.photo").nth(20)).to_be_focused()


FAILURES = {
    "The server cannot be reached.": lambda route: route.abort(),
    "Gone.": lambda route: route.fulfill(status=503, body='<p class="notice error">Gone.</p>'),
    "The server answered 502.": lambda route: route.fulfill(status=502, body="a proxy's own page"),
}


@pytest.mark.parametrize("said", FAILURES)
def test_a_failure_is_shown_and_can_be_tried_again(visit, said):
    page = visit(RESULTS)
    page.route(LATER, FAILURES[said])
    load_more(page)
    expect(page.get_by_role("alert")).to_have_text(f"No more photos could be loaded. {said}")
    visit.problems.clear()  # Chromium's own message about it
    page.unroute(LATER)
    press_enter(page, "Try again")
    expect_tiles(page, 40)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("link", name="More photos")).to_be_attached()


def test_a_second_request_is_not_made_while_one_is_under_way(results):
    asked = []

    def note(request):
        if "offset" in request.url:
            asked.append(request.url)

    results.on("request", note)
    link = results.get_by_role("link", name="More photos")
    link.evaluate("link => { link.click(); link.click() }")
    expect_tiles(results, 40)
    results.wait_for_load_state("networkidle")
    results.remove_listener("request", note)
    assert len(asked) == len(set(asked))


def test_the_link_opens_in_another_tab_as_links_do(results):
    with results.context.expect_page() as opened:
        results.get_by_role("link", name="More photos").click(modifiers=["Control"])
    opened.value.wait_for_url(re.compile("offset=(20|40)"))  # to scroll to the link may load 20 photos first


def test_coming_back_restores_the_scroll_position(results):
    load_more(results)
    expect_tiles(results, 40)
    place = results.locator(".tile").nth(35)
    place.scroll_into_view_if_needed()
    place.hover()
    results.wait_for_load_state("networkidle")
    stood, tiles = offset(results), results.locator(".tile").count()
    assert stood > 300
    follow(results, f"More like this {shown(results)[35]}")
    results.go_back()
    expect(results.locator(".tile").nth(tiles - 1)).to_be_attached()
    results.wait_for_function("y => Math.abs(scrollY - y) < 250", arg=stood)


def test_a_new_search_starts_at_the_top(results):
    scroll_to_the_end(results)
    expect(results.locator(".tile").nth(20)).to_be_attached()
    results.goto("/image_search?q=a+dog")
    results.goto(RESULTS)
    assert offset(results) == 0
    expect_tiles(results, 20)
