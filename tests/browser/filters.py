"""Actions that several tests of filters share: on small and large screens, with and without scripts."""

import pytest
from playwright.sync_api import expect

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1440, "height": 900}}
screens = pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
scripts = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


def form(page):
    return page.locator(".filters form")


def unfold(page):
    page.get_by_text("Filter and sort").click()
    expect(form(page)).to_be_visible()


def go(page, name):
    with page.expect_navigation():
        page.get_by_role("link", name=name).click()


def tags(page):
    return (
        page.get_by_role("list", name="Filters in force")
        .locator("a:not(.all)")
        .evaluate_all("all => all.map(one => one.firstElementChild.textContent)")
    )
