"""The tabs that tests share: nothing that one visit leaves there reaches the next."""

import pytest
from playwright.sync_api import expect

from tests.browser.visit import watched

pytestmark = [pytest.mark.browser, pytest.mark.server]

RESULTS = "/image_search?q=a+cat+with+green+eyes&k=5"
PLACE = "#photo=cats/tiger.jpg"


@pytest.fixture
def again(contexts, address):
    """Open a page in the tab in which the visit before has ended; return it with the problems of its visit."""

    def open_page(path, do, **options):
        with watched(contexts, address) as before:
            used = before(RESULTS, **options)
            do(used, before)
        with watched(contexts, address) as visit:
            page = visit(path, **options)
            assert page is used
            yield page, visit.problems
            visit.problems.clear()

    return open_page


def test_what_a_visit_leaves_in_a_tab_is_gone(again):
    opened = []

    def leave(page, _):
        page.evaluate("sessionStorage.setItem('kept', 'by the page before')")
        page.context.add_cookies([{"name": "kept", "value": "1", "url": page.url}])
        page.route(page.url, lambda route: route.abort())
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        page.set_viewport_size({"width": 400, "height": 300})
        page.locator(".tile").first.hover()
        opened.append(page.context.new_page())

    for page, problems in again(RESULTS, leave):
        kept = "[Object.keys(sessionStorage), document.cookie, history.length, innerWidth, innerHeight]"
        assert page.evaluate(kept) == [[], "", 1, 1280, 720]
        assert (
            page.evaluate("matchMedia('(prefers-color-scheme: dark), (prefers-reduced-motion: reduce)').matches")
            is False
        )
        expect(page.locator(".tile figcaption").first).to_have_css("opacity", "0")
        assert all(further.is_closed() for further in opened)
        assert problems == []


def test_a_place_on_the_same_page_is_loaded_anew(again):
    for page, _ in again(RESULTS + PLACE, lambda page, _: page.evaluate("window.kept = true")):
        assert page.evaluate("window.kept") is None
        expect(page.locator("#lightbox-name")).to_have_text("tiger.jpg")


def test_a_problem_is_noted_by_the_visit_that_has_it(again):
    def fail(page, visit):
        page.evaluate("console.error('the first')")
        assert [problem.split(" (")[0] for problem in visit.problems] == ["console: the first"]
        visit.problems.clear()

    for page, problems in again(RESULTS, fail):
        assert problems == []
        page.evaluate("console.error('the second')")
        assert [problem.split(" (")[0] for problem in problems] == ["console: the second"]
