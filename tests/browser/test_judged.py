"""Pages of hits that match only loosely, of folded photos, and of previews, as the app makes them of such hits."""

import pytest
from playwright.sync_api import expect

from tests.browser.judged import judged, page_of
from tests.browser.visit import shown

pytestmark = [pytest.mark.browser, pytest.mark.server]

CATS = ("cats/tabby-cat.jpg", "cats/tiger.jpg", "cats/lion.jpg")
LOOSELY = "These match only loosely"
NOTHING = "Nothing here really matches"


@pytest.fixture
def showing(visit):
    """Open the page of such a search; the photos come from the site."""

    def open_page(result, later=None, **context):
        page = visit("/healthz", **context)
        page.route("**/image_search?**", lambda route: route.fulfill(body=page_of(result), content_type="text/html"))
        if later:
            body = page_of(later, query="q=a+cat&offset=20")
            page.route("**/image_search?*offset=*", lambda route: route.fulfill(body=body, content_type="text/html"))
        page.goto("/image_search?q=a+cat")
        return page

    return open_page


@pytest.mark.parametrize("javascript", [True, False])
def test_a_line_stands_before_the_first_that_matches_only_loosely(showing, javascript):
    page = showing(judged(*CATS, relevant=2), java_script_enabled=javascript)
    expect(page.get_by_role("heading", name=LOOSELY)).to_be_visible()
    assert shown(page) == list(CATS)
    expect(page.locator(".divider + .grid .tile")).to_have_count(1)
    expect(page.get_by_text(NOTHING)).to_have_count(0)


def test_if_nothing_matches_the_page_says_so_once(showing):
    page = showing(judged(*CATS, relevant=0))
    expect(page.get_by_text(NOTHING)).to_be_visible()
    expect(page.get_by_text(LOOSELY)).to_have_count(0)


def test_if_the_text_says_nothing_the_page_says_that_instead(showing):
    page = showing(judged(*CATS, relevant=0, understood=False))
    expect(page.get_by_text("This text says nothing that the model knows")).to_be_visible()
    expect(page.get_by_text(NOTHING)).to_have_count(0)


def test_nothing_is_said_of_a_text_whose_words_were_found(showing):
    page = showing(judged(*CATS, relevant=1, understood=False))
    expect(page.get_by_text("says nothing that the model knows")).to_have_count(0)


@pytest.mark.parametrize("relevant", [None, 3])
def test_there_is_no_line_if_all_match_or_there_is_no_verdict(showing, relevant):
    page = showing(judged(*CATS, relevant=relevant))
    expect(page.get_by_text(LOOSELY)).to_have_count(0)
    expect(page.get_by_text(NOTHING)).to_have_count(0)


@pytest.mark.parametrize("relevant", [0, 2, 3])
def test_the_line_stands_at_its_place_when_more_photos_load(showing, relevant):
    more = ("dogs/husky.jpg", "birds/crow.jpg")
    page = showing(judged(*CATS, relevant=relevant), later=judged(*more, relevant=0))
    page.get_by_role("link", name="More photos").click()
    expect(page.locator(".tile")).to_have_count(5)
    assert shown(page) == [*CATS, *more]
    expect(page.locator(".divider")).to_have_count(1 if relevant else 0)
    expect(page.locator(".grid").last.locator(".tile")).to_have_count(5 - relevant)


# Folded

FOLDED = ("cats/lion.jpg", "flowers/daffodil.jpg")


@pytest.mark.parametrize("javascript", [True, False])
def test_the_badge_of_a_photo_shows_and_hides_the_photos_folded_under_it(showing, javascript):
    page = showing(judged(*CATS[:2], folded=FOLDED), java_script_enabled=javascript)
    badge = page.locator(".stack summary")
    expect(badge).to_have_text("2")
    expect(badge).to_have_accessible_name("Nearly the same photo: 2 more")
    expect(page.locator(".tile:visible")).to_have_count(2)
    badge.press("Enter")
    expect(page.locator(".tile:visible")).to_have_count(4)
    badge.click()
    expect(page.locator(".tile:visible")).to_have_count(2)


def test_the_lightbox_passes_over_folded_photos(showing):
    page = showing(judged(*CATS[:2], folded=FOLDED))
    page.locator(".grid a.photo").first.click()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#lightbox-name")).to_have_text("tiger.jpg")


# Previews


def test_a_preview_is_seen_until_the_thumbnail_is_there(showing):
    page = showing(judged(CATS[0]))
    waiting = []
    page.route("**/thumbnail/**", lambda route: waiting.append(route))
    with page.expect_request("**/thumbnail/**"):
        page.reload(wait_until="domcontentloaded")
    preview, thumbnail = page.locator(".preview"), page.locator(".thumbnail")
    expect(thumbnail).to_have_css("opacity", "0")
    assert preview.evaluate("image => image.decode().then(() => image.naturalWidth)") == 16
    assert preview.bounding_box()["width"] >= thumbnail.bounding_box()["width"]
    waiting[0].continue_()
    expect(thumbnail).to_have_css("opacity", "1")
