"""Filters as people use them: the form, the tags of the filters in force, the dates; with and without JavaScript."""

import pytest
from playwright.sync_api import expect

from tests.browser.filters import form, go, screens, scripts, tags, unfold
from tests.browser.visit import search, shown

pytestmark = [pytest.mark.browser, pytest.mark.server]


def apply(page):
    with page.expect_navigation():
        page.get_by_role("button", name="Apply").click()


@screens
@scripts
def test_several_values_are_chosen_shown_as_tags_and_removed_one_by_one(visit_album, screen, scripts):
    page = visit_album("/", **screen, java_script_enabled=scripts)
    unfold(page)
    form(page).get_by_label("norway").check()
    form(page).get_by_label("italy").check()
    form(page).get_by_label("zoo").check()
    apply(page)
    assert set(shown(page)) == {"italy/lion.jpg", "norway/dingo.jpg"}
    assert tags(page) == ["Folder: italy", "Folder: norway", "Label: zoo"]
    expect(form(page)).to_be_hidden()
    go(page, "Folder: norway remove")
    assert shown(page) == ["italy/lion.jpg"]
    go(page, "Remove all")
    assert tags(page) == []
    assert len(shown(page)) == 7


def test_filters_narrow_a_search_and_keep_its_text(visit_album):
    page = visit_album("/image_search?q=a+cat")
    unfold(page)
    form(page).get_by_label("R5").check()
    form(page).get_by_label("Sort by").select_option("oldest of the nearest")
    apply(page)
    assert shown(page) == ["italy/tabby.jpg", "italy/tiger.jpg"]
    expect(page.get_by_role("searchbox")).to_have_value("a cat")
    expect(page.locator(".filters > summary")).to_have_text("Filter and sort: 2 of 7 photos")
    go(page, "Camera: R5 remove")
    expect(page).to_have_url("/image_search?q=a+cat&sort=oldest&k=20")


def test_further_columns_and_sizes_can_be_chosen(visit_album):
    page = visit_album("/")
    unfold(page)
    form(page).get_by_role("group", name="shelf").get_by_label("4").check()
    form(page).get_by_label("Width at least").select_option("1,280")
    apply(page)
    assert (tags(page), shown(page)) == (["shelf: 4", "At least 1,280 pixels wide"], [])
    go(page, "shelf: 4 remove")
    assert shown(page) == ["pacific/islands/balloon.jpg"]


def test_the_keyboard_alone_is_enough(visit_album):
    page = visit_album("/image_search?q=a+cat")
    page.locator(".filters > summary").focus()
    page.keyboard.press("Enter")
    form(page).get_by_label("norway").focus()
    page.keyboard.press("Space")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert set(shown(page)) == {"norway/husky.jpg", "norway/dingo.jpg"}
    tag = page.get_by_role("link", name="Folder: norway remove")
    tag.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert len(shown(page)) == 7


def test_a_long_list_shows_the_first_and_offers_the_others(visit):
    page = visit("/image_search?q=a+dog&folder=dogs")
    unfold(page)
    folders = form(page).get_by_role("group", name="Folder")
    expect(folders.get_by_role("checkbox")).to_have_count(7)
    expect(folders.get_by_role("checkbox", checked=True)).to_have_value("dogs")
    folders.get_by_label("Folder: more").select_option("cats")
    apply(page)
    assert tags(page) == ["Folder: dogs", "Folder: cats"]
    assert {name.partition("/")[0] for name in shown(page)} == {"cats", "dogs"}


def test_a_new_text_is_searched_for_within_the_filters(visit_album):
    page = visit_album("/image_search?q=a+cat&label=zoo")
    search(page, "a dog")
    assert tags(page) == ["Label: zoo"]


# Dates


@screens
@scripts
def test_bars_lead_into_a_year_and_a_day_and_out_again(visit_album, screen, scripts):
    page = visit_album("/", **screen, java_script_enabled=scripts)
    unfold(page)
    bars = page.get_by_role("list", name="Photos by date")
    assert bars.locator("a").evaluate_all("all => all.map(one => one.title)") == [
        "July 2024: 1 photo",
        "May 2024: 2 photos",
        "February 2021: 1 photo",
        "January 2019: 1 photo",
    ]
    go(page, "May 2024: 2 photos")
    expect(bars).to_be_visible()
    assert set(shown(page)) == {"italy/tabby.jpg", "italy/tiger.jpg"}
    assert tags(page) == ["Taken: May 2024"]
    go(page, "3 May 2024: 1 photo")
    assert shown(page) == ["italy/tiger.jpg"]
    expect(bars.locator("[aria-current]")).to_have_count(1)
    with page.expect_navigation():
        page.get_by_role("link", name="2024", exact=True).click()
    assert tags(page) == ["Taken: 2024"]
    expect(bars.get_by_role("link")).to_have_count(2)
    go(page, "All dates")
    assert len(shown(page)) == 7


def test_the_date_fields_show_the_chosen_days_and_accept_others(visit_album):
    page = visit_album("/image_search?from=2019&to=2021#taken")
    assert set(shown(page)) == {"norway/husky.jpg", "norway/dingo.jpg"}
    expect(page.get_by_label("From", exact=True)).to_have_value("2019-01-01")
    page.get_by_label("To", exact=True).fill("2020-12-31")
    apply(page)
    assert shown(page) == ["norway/husky.jpg"]
    assert tags(page) == ["Taken: 1 January 2019 to 31 December 2020"]


def test_the_highest_bar_is_the_one_with_the_most_photos(visit_album):
    page = visit_album("/")
    unfold(page)
    heights = page.locator(".bars rect").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert max(heights) == heights[1] == pytest.approx(2 * heights[0], rel=0.01)
