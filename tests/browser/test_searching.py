"""Searches in a real browser, in every way that the pages offer."""

import pytest
from playwright.sync_api import expect

from tests.browser.visit import bring, choose, follow, search, shown, similarities
from tests.browser.webapp import PHOTOS

pytestmark = [pytest.mark.browser, pytest.mark.server]

FIRE_TRUCK = "vehicles/fire-truck.jpg"
DRAGGED = ("dragenter", "dragover", "drop")


@pytest.mark.parametrize(
    ("text", "photo"),
    [
        ("a cat with green eyes", "cats/tabby-cat.jpg"),
        ("a hot air balloon", "vehicles/hot-air-balloon.jpg"),
        ("ein Feuerwehrauto", FIRE_TRUCK),
    ],
)
def test_a_text_shows_its_photo_first(page, text, photo):
    search(page, text)
    assert shown(page)[0] == photo
    expect(page.get_by_role("searchbox")).to_have_value(text)


def test_a_chosen_file_finds_its_photo_first(page):
    choose(page, PHOTOS / FIRE_TRUCK)
    assert shown(page)[0] == FIRE_TRUCK
    assert similarities(page)[0] >= 0.99
    assert similarities(page) == sorted(similarities(page), reverse=True)
    expect(page.get_by_alt_text("The photo you sent")).to_be_visible()


@pytest.mark.parametrize("by", [DRAGGED, ("paste",)])
def test_a_dropped_or_pasted_file_finds_its_photo_first(page, by):
    bring(page, FIRE_TRUCK, by=by)
    assert shown(page)[0] == FIRE_TRUCK
    assert similarities(page)[0] >= 0.99


def test_files_dragged_over_the_page_show_an_invitation_until_they_leave(page):
    root = page.locator("html")
    drag = "kind => document.body.dispatchEvent(new DragEvent(kind, {bubbles: true, dataTransfer: carried}))"
    page.evaluate("window.carried = new DataTransfer(); carried.items.add(new File(['x'], 'x.jpg'))")
    page.evaluate(drag, "dragenter")
    expect(root).to_contain_class("dropping")
    page.evaluate(drag, "dragleave")
    expect(root).not_to_contain_class("dropping")


def test_pasted_text_is_left_to_the_search_box(page):
    page.evaluate("document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: new DataTransfer()}))")
    expect(page.locator("html")).not_to_contain_class("searching")


def test_more_like_this_shows_others_below_the_photo_itself(page):
    search(page, "a cat with green eyes")
    follow(page, "More like this cats/tabby-cat.jpg")
    expect(page.get_by_alt_text("The photo searched for: cats/tabby-cat.jpg")).to_be_visible()
    assert "cats/tabby-cat.jpg" not in shown(page)
    assert shown(page)[0] == "cats/tiger.jpg"


def show(page, count):
    page.locator(".add summary").click()
    page.get_by_label("Show").select_option(count)


def test_as_many_photos_as_chosen_are_shown(page):
    show(page, "50")
    search(page, "an animal")
    assert len(shown(page)) == 50
    expect(page.locator("#k")).to_have_value("50")


def test_another_number_of_photos_is_shown_at_once_if_there_is_a_search(visit):
    page = visit("/image_search?q=an+animal&like=cats/tiger.jpg")
    with page.expect_navigation():
        show(page, "10")
    assert len(shown(page)) == 10
    expect(page).to_have_url("/image_search?q=an+animal&like=cats/tiger.jpg&k=10")


def test_as_many_photos_as_chosen_are_shown_for_an_upload_too(page):
    show(page, "10")
    choose(page, PHOTOS / FIRE_TRUCK)
    assert len(shown(page)) == 10


def test_a_later_page_links_back(visit):
    page = visit("/image_search?q=a+bird&offset=20")
    assert page.get_by_role("link", name="More photos").get_attribute("href").endswith("offset=40")
    later = shown(page)
    follow(page, "Previous")
    assert not set(shown(page)) & set(later)


def test_the_last_page_has_no_link_to_a_next_page(visit):
    page = visit("/image_search?q=a+bird&k=100&offset=150")
    assert len(shown(page)) == 52
    expect(page.get_by_role("link", name="More photos")).to_have_count(0)


def test_after_the_back_button_the_same_photo_can_be_chosen_again(page):
    for _ in range(2):
        choose(page, PHOTOS / FIRE_TRUCK)
        assert shown(page)[0] == FIRE_TRUCK
        page.go_back()
        expect(page.locator("html")).not_to_contain_class("searching")


def test_a_file_that_is_no_photo_is_refused_in_words(page, tmp_path):
    (tmp_path / "x.jpg").write_text("no photo")
    choose(page, tmp_path / "x.jpg")
    expect(page.get_by_role("alert")).to_contain_text("no known image format")
    search(page, "a hot air balloon")  # the way on
    assert shown(page)[0] == "vehicles/hot-air-balloon.jpg"


def test_an_empty_query_leads_to_the_first_page(page):
    with page.expect_navigation():
        page.get_by_role("button", name="Search", exact=True).click()
    expect(page).to_have_url("/?k=20")
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()


def test_a_query_of_html_is_shown_as_text(page):
    attack = "<img src=x onerror=alert(1)>\"'</title><script>alert(2)</script>"
    search(page, attack)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Photos for “{attack}”")
    expect(page).to_have_title(f"{attack} – Image search")
    expect(page.locator("img[src=x]")).to_have_count(0)
