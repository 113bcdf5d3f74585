"""Browser pages with checks, and the actions of a visitor on them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.browser.webapp import PHOTOS

PATIENCE = 60_000  # milliseconds; more than a page needs for anything on a busy machine

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


class Contexts:
    """Browser contexts that are used again, each by one test at a time.

    A new context has an empty cache and a new process: to start it, and to fetch and compile a page's scripts and
    pictures again, takes longer than most tests. So a context keeps its cache, and a small page that keeps its process.
    Between two uses, what a visitor leaves behind is removed: pages, with their session storage, and cookies.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[str, list[BrowserContext]] = {}
        self._options: dict[BrowserContext, str] = {}

    def take(self, *, fresh: bool = False, **options: Any) -> BrowserContext:
        """Return a context with these options that nobody uses; a `fresh` one has an empty cache, too."""
        key = json.dumps(options, sort_keys=True)
        free = self._free.setdefault(key, [])
        if free and not fresh:
            context = free.pop()
        else:
            context = self._browser.new_context(**options)
            context.new_page().goto("/healthz")
        self._options[context] = key
        return context

    def give_back(self, context: BrowserContext) -> None:
        """Close the pages of a context but the first, and keep it for the next use.

        A page must have arrived where it was led: Chromium may never close one that is on its way to another site.
        """
        for page in context.pages[1:]:
            page.close()
        context.clear_cookies()
        self._free[self._options.pop(context)].append(context)


class Visit:
    """Opens pages of the site at `address`, each in a browser context of its own, and records all problems there."""

    def __init__(self, contexts: Contexts, address: str) -> None:
        self.problems: list[str] = []
        self._contexts = contexts
        self._address = address
        self._pages: list[Page] = []

    def __call__(self, path: str, **context: Any) -> Page:
        """Open the page at `path`, in a context with these options. With `fresh`, nothing is in its cache."""
        page = self._contexts.take(base_url=f"{self._address}/", **context).new_page()
        page.set_default_timeout(PATIENCE)
        self._pages.append(page)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        page.on("filechooser", lambda chooser: None)  # handled here: else, a key press may come before the dialog
        page.on("requestfailed", lambda request: self._note_failure(request.url))
        page.goto(path)
        return page

    def close(self) -> None:
        """Close all pages."""
        for page in self._pages:
            page.title()  # a round trip; after it, all messages of the page have arrived
            self._contexts.give_back(page.context)

    def _note_message(self, message: ConsoleMessage) -> None:
        where = message.location["url"]
        if message.type in ("error", "warning") and not _is_expected(message, where=where):
            self.problems.append(f"console: {message.text} ({where})")

    def _note_failure(self, url: str) -> None:
        """Note a request to another site: all of them fail here. To be told of each request would cost more time."""
        if not url.startswith((f"{self._address}/", "data:")):
            self.problems.append(f"foreign request: {url}")


@contextmanager
def watched(contexts: Contexts, address: str) -> Iterator[Visit]:
    """Yield a visit that fails if one of its pages logs an error, breaks the CSP or requests another origin."""
    visit = Visit(contexts, address)
    yield visit
    visit.close()
    assert not visit.problems, visit.problems


def _is_expected(message: ConsoleMessage, *, where: str) -> bool:
    """Return whether this is Chromium's message on a page with an error status."""
    own_status = message.page is not None and where == message.page.url
    return message.text.startswith("Failed to load resource") and own_status


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
