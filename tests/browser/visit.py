"""Browser pages with checks, and the actions of a visitor on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.contexts import Contexts, Tab
from tests.browser.webapp import PHOTOS

# The events of a browser, in order, if a file is dropped on the page or pasted.
_BRING_FILE = """(element, [kinds, name, type, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], name, {type}));
  for (const kind of kinds) {
    const made = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
    element.dispatchEvent(kind === "paste" ? new ClipboardEvent(kind, made) : new DragEvent(kind, made));
  }
}"""


# Truthy when the boxes are as they were one frame ago, and nothing moves.
_SETTLED_BOXES = """selectors => {
  const boxes = selectors.map(selector => document.querySelector(selector).getBoundingClientRect().toJSON());
  const before = window.boxesBefore, now = window.boxesBefore = JSON.stringify(boxes);
  return now === before && document.getAnimations().every(({playState}) => playState !== "running") && boxes;
}"""


class Visit:
    """Opens pages of the site at `address`, each in a browser context of its own, and records all problems there."""

    def __init__(self, contexts: Contexts, address: str) -> None:
        self.problems: list[str] = []
        self._contexts = contexts
        self._address = address
        self._tabs: list[Tab] = []

    def __call__(self, path: str, **options: Any) -> Page:
        """Open the page at `path`, with these options. A `fresh` one has an empty cache, and no test uses it later."""
        tab = self._contexts.take_tab(self.problems, base_url=f"{self._address}/", **options)
        self._tabs.append(tab)
        tab.page.goto(path)
        tab.forget()
        return tab.page

    def close(self) -> None:
        """Leave all pages to the next visit."""
        for tab in self._tabs:
            self._contexts.give_back_tab(tab)


@contextmanager
def watched(contexts: Contexts, address: str) -> Iterator[Visit]:
    """Yield a visit that fails if one of its pages logs an error, breaks the CSP or requests another origin."""
    visit = Visit(contexts, address)
    yield visit
    visit.close()
    assert not visit.problems, visit.problems


def settled_boxes(page: Page, *selectors: str) -> list[dict[str, float]]:
    """Return the boxes of these elements on the screen, read in one moment, when all are visible and none moves.

    Use it after an action: what the action changes on the page may come later than the action returns.
    """
    for selector in selectors:
        expect(page.locator(selector)).to_be_visible()
    found: list[dict[str, float]] = page.wait_for_function(_SETTLED_BOXES, arg=list(selectors)).json_value()
    return found


def tiles(page: Page) -> Locator:
    """Return the photos of the grid."""
    return page.locator(".grid .thumbnail")


def shown(page: Page) -> list[str]:
    """Return the image_ids of the grid, in order."""
    found: list[str] = tiles(page).evaluate_all("images => images.map(image => image.alt)")
    return found


def similarities(page: Page) -> list[float]:
    """Return the similarities that the tiles show, in order."""
    return [float(text) for text in page.locator(".similarity .number").all_text_contents()]


def search(page: Page, text: str, *, button: str = "Search") -> None:
    """Type a text and search for it."""
    page.get_by_role("searchbox").fill(text)
    with page.expect_navigation():
        page.get_by_role("button", name=button, exact=True).click()


def follow(page: Page, name: str) -> None:
    """Follow the first link of that name."""
    with page.expect_navigation():
        page.get_by_role("link", name=name).first.click()


def bring(page: Page, image_id: str, *, by: tuple[str, ...]) -> None:
    """Bring a sample photo to the page by dragging or pasting."""
    photo = PHOTOS / image_id
    with page.expect_navigation():
        page.locator("main").evaluate(_BRING_FILE, [by, photo.name, "image/jpeg", list(photo.read_bytes())])


def choose(page: Page, file: Path) -> None:
    """Choose a file in the file chooser that a click on "Search by a photo" opens."""
    with page.expect_file_chooser() as chooser:
        page.locator("#image").click()
    with page.expect_navigation():
        chooser.value.set_files(file)
