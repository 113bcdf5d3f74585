"""Accessibility of the pages by axe-core's rules, in light and dark, on phones and desktops; and their weight."""

from functools import partial

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.judged import judged, page_of
from tests.browser.webapp import PHOTOS

pytestmark = [pytest.mark.browser, pytest.mark.server]

RESULTS = "/image_search?q=a+cat+with+green+eyes"
CATS = ("cats/tabby-cat.jpg", "cats/tiger.jpg")
ERROR = "/image_search?q=a+cat&k=0"
FEW = "k=5"  # photos, if a test is not about them: each page needs time for each of its photos
LARGEST_FIRST_LOAD = 100_000  # bytes transferred, without photos

looks = pytest.mark.parametrize(("scheme", "width"), [("dark", 360), ("light", 1440)])  # each of them once


@pytest.fixture
def look(visit, scheme, width):
    """Open a page in that size and those colours; a phone uses touch."""
    return partial(visit, **seen(scheme, width))


@pytest.fixture
def look_at_album(visit_album, scheme, width):
    """Open a page of the album's site in the same way."""
    return partial(visit_album, **seen(scheme, width))


def seen(scheme, width):
    """Return the options of a browser context for a screen."""
    phone = width < 600
    size = {"width": width, "height": 780 if phone else 900}
    return {"viewport": size, "color_scheme": scheme, "has_touch": phone, "is_mobile": phone}


@looks
@pytest.mark.parametrize("path", ["/", RESULTS, f"{RESULTS}&folder=cats", "/similar_image?id=cats/tiger.jpg", ERROR])
def test_axe_finds_nothing_wrong_with_a_page(look, path):
    assert violations(look(path)) == []


FILTERED = "folder=italy&folder=norway&from=2019&to=2024&place=30,-20,70,40&label=zoo&label=none&min_width=100"


@looks
@pytest.mark.parametrize("path", ["/", f"/image_search?q=a+cat&{FILTERED}", "/image_search?place=-30,170,-10,-170"])
def test_axe_finds_nothing_wrong_with_the_filters_and_the_filters_in_force(look_at_album, path):
    page = look_at_album(path)
    page.get_by_text("Filter and sort").click()
    expect(page.locator(".map circle").first).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


@looks
def test_axe_finds_nothing_wrong_with_the_collections(look):
    page = look("/collections")
    expect(page.locator(".cards li").first).to_be_visible()
    assert violations(page) == []


@looks
def test_axe_finds_nothing_wrong_with_a_caption_that_is_shown(look):
    page = look(f"{RESULTS}&{FEW}")
    page.locator(".grid a.photo").first.focus()
    expect(page.locator("figcaption").first).to_have_css("opacity", "1")
    assert violations(page) == []


@looks
def test_axe_finds_nothing_wrong_with_the_lightbox_and_its_details(look):
    page = look(f"{RESULTS}&{FEW}#photo=cats/tiger.jpg")
    page.get_by_role("button", name="Details").click()
    expect(page.get_by_role("complementary", name="Details")).to_contain_text("tiger.jpg")
    assert violations(page) == []


@looks
def test_axe_finds_nothing_wrong_with_chips_and_their_menus(look):
    parts = f"q=snow&like={CATS[0]}%23xywh=percent:20,10,50,50&without=people&weight=1&weight=2&weight=1"
    page = look(f"/image_search?{parts}&{FEW}")
    for menu in (".chip:first-child", ".chip:last-child", ".add"):
        page.locator(f"{menu} summary").click()
        expect(page.locator(f"{menu} .menu")).to_be_visible()
        assert violations(page) == [], menu
        page.keyboard.press("Escape")
        expect(page.locator(f"{menu} .menu")).to_be_hidden()


@looks
def test_axe_finds_nothing_wrong_with_the_choice_of_a_part(look):
    page = look(f"{RESULTS}&{FEW}#photo=cats/tiger.jpg")
    page.get_by_role("button", name="Search a part of the photo").click()
    expect(page.get_by_role("application", name="The part")).to_be_focused()
    assert violations(page) == []


@looks
@pytest.mark.parametrize("photos", [CATS[:1], (*CATS, "captions.csv")])
def test_axe_finds_nothing_wrong_with_uploads(look, photos):
    page = look(f"/?{FEW}")
    with page.expect_navigation():
        page.locator("#image").set_input_files([PHOTOS / photo for photo in photos])
    assert violations(page) == []


@looks
def test_axe_finds_nothing_wrong_with_stacks_lines_and_notices(look):
    page = look("/healthz")
    bodies = [page_of(judged(*CATS, relevant=relevant, folded=("cats/lion.jpg",))) for relevant in (0, 1)]
    page.route("**/image_search?**", lambda route: route.fulfill(body=bodies[-1], content_type="text/html"))
    while bodies:
        page.goto("/image_search?q=a+cat")
        page.locator(".stack summary").click()
        assert violations(page) == []
        bodies.pop()


def test_axe_finds_a_violation_if_there_is_one(visit):
    page = visit(f"/?{FEW}")
    page.evaluate("document.querySelector('.thumbnail').removeAttribute('alt')")
    assert "image-alt" in {rule for rule, *_ in violations(page)}


# Size and touch


@pytest.mark.parametrize("path", ["/", RESULTS, ERROR])
def test_the_first_load_without_photos_is_small(visit, path):
    page = visit(path, fresh=True)
    page.wait_for_load_state("networkidle")
    loaded = page.evaluate(
        "performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))"
        ".map(entry => [entry.name, entry.encodedBodySize])"
    )
    weights = {url: size for url, size in loaded if "/thumbnail/" not in url}
    assert {url.rpartition(".")[2] for url in weights} >= {"css", "js", "svg"}
    assert all(weights.values())
    assert sum(weights.values()) < LARGEST_FIRST_LOAD, weights


def check_large_enough(touched, *, least):
    """Fail if there are fewer than expected, or if one is too small for a finger (WCAG 2.2, 2.5.8)."""
    boxes = touched.evaluate_all(
        "all => all.map(one => ({html: one.outerHTML, ...one.getBoundingClientRect().toJSON()}))"
    )
    assert len(boxes) >= least
    assert [box["html"] for box in boxes if min(box["width"], box["height"]) < 24] == []


@pytest.mark.parametrize("path", ["/", RESULTS])
def test_on_a_phone_all_touch_targets_are_large_enough(visit, path):
    page = visit(path, viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    check_large_enough(page.locator(":is(main, header) :is(a, button, select):visible"), least=41)


def test_on_a_phone_all_filters_are_large_enough_to_touch(visit_album):
    page = visit_album(f"/image_search?{FILTERED}", viewport={"width": 360, "height": 780}, is_mobile=True)
    page.get_by_text("Filter and sort").click()
    check_large_enough(page.locator(".filters :is(a, button, select, label, [type=date]):visible, .tags a"), least=26)


def test_on_a_phone_touch_is_enough_to_search_open_a_photo_and_go_back(visit):
    page = visit("/", viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    page.get_by_role("searchbox").fill("a hot air balloon")
    with page.expect_navigation():
        page.get_by_role("button", name="Search", exact=True).tap()
    page.locator(".grid a.photo").first.tap()
    expect(page.locator("#lightbox-name")).to_have_text("hot-air-balloon.jpg")
    page.get_by_role("button", name="Close").tap()
    with page.expect_navigation():
        page.locator(".tile .like").first.tap()
    expect(page.get_by_alt_text("The photo searched for: vehicles/hot-air-balloon.jpg")).to_be_visible()
