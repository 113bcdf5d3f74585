"""Collections: cards to start from, and the picker beside the search text."""

import pytest
from playwright.sync_api import expect

from image_embeddings.config import SAMPLE_PHOTOS
from tests.browser.filters import go, screens, scripts, tags
from tests.browser.visit import search, shown

BIRDS = len(list((SAMPLE_PHOTOS / "birds").glob("*.jpg")))
FOLDERS = sum(path.is_dir() for path in SAMPLE_PHOTOS.iterdir())

pytestmark = [pytest.mark.browser, pytest.mark.server]


def folders(page):
    return {name.partition("/")[0] for name in shown(page)}


@screens
@scripts
def test_a_card_opens_its_collection(visit, screen, scripts):
    page = visit("/", **screen, java_script_enabled=scripts)
    go(page, f"birds {BIRDS} photos")
    expect(page.get_by_role("heading", level=1)).to_have_text("birds")
    assert folders(page) == {"birds"}
    assert tags(page) == ["Folder: birds"]


@screens
@scripts
def test_a_collection_is_picked_before_searching_and_stays_picked(visit, screen, scripts):
    page = visit("/", **screen, java_script_enabled=scripts)
    page.get_by_label("Search in").select_option(label=f"birds ({BIRDS})")
    search(page, "something red")
    assert folders(page) == {"birds"}
    expect(page.get_by_label("Search in").locator("option:checked")).to_have_text(f"birds ({BIRDS})")
    search(page, "something black")
    assert folders(page) == {"birds"}
    page.get_by_label("Search in").select_option("All photos")
    search(page, "a dog")
    assert "dogs" in folders(page)


def test_all_collections_are_a_click_away(visit):
    page = visit("/")
    expect(page.locator(".cards li")).to_have_count(12)
    go(page, f"All {FOLDERS} collections")
    expect(page.locator(".cards li")).to_have_count(FOLDERS)
    go(page, "dogs")
    assert folders(page) == {"dogs"}


def test_examples_are_shown_and_belong_to_the_collection(visit):
    page = visit("/")
    page.wait_for_load_state("networkidle")
    card = page.get_by_role("link", name=f"birds {BIRDS} photos")
    assert card.locator("img").count() == 4
    images = card.locator("img").evaluate_all("all => all.map(one => [one.naturalWidth, one.src])")
    assert all(width > 0 and "/thumbnail/birds/" in source for width, source in images)
