"""Browser contexts and their pages, which are used again, each by one test at a time."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

PATIENCE = 60_000  # milliseconds; more than a page needs for anything on a busy machine

# The options of a context that its pages can have for themselves.
SCREEN = {"viewport": {"width": 1280, "height": 720}, "color_scheme": "light", "reduced_motion": "no-preference"}

# Leave a page of this site to the next test, and return whether that is possible. Its address changes: to go to another
# place on the same page would load nothing. What the tab keeps is removed last of all, after what the page keeps there.
_LEAVE = """site => {
  if (!location.href.startsWith(site)) return false;
  try { history.replaceState(null, "", "/left"); } catch { return false; }
  addEventListener("pagehide", () => sessionStorage.clear());
  return true;
}"""


class Contexts:
    """Browser contexts that are used again, each by one test at a time.

    A new context has an empty cache and a new process: to start it, and to fetch and compile a page's scripts and
    pictures again, takes longer than most tests. So a context keeps its cache, and a small page that keeps its process.
    To open and close a page takes a third of the time that most pages need to load. So a context keeps a tab for each
    screen, too. Between two uses, what a visitor leaves behind is removed: further pages, session storage, the history
    and cookies.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[str, list[BrowserContext]] = {}
        self._options: dict[BrowserContext, str] = {}
        self._tabs: dict[BrowserContext, dict[str, Tab]] = {}

    def take(self, *, fresh: bool = False, **options: Any) -> BrowserContext:
        """Return a context with these options that nobody uses.

        A `fresh` one has an empty cache, too, and is not used again.
        """
        key = json.dumps(options, sort_keys=True)
        free = self._free.setdefault(key, [])
        if free and not fresh:
            context = free.pop()
        else:
            context = self._browser.new_context(**options)
            context.new_page().goto("/healthz")
        self._options[context] = "" if fresh else key
        return context

    def give_back(self, context: BrowserContext) -> None:
        """Close the pages of a context but those that are kept, and keep it for the next use.

        A page must have arrived where it was led: Chromium may never close one that is on its way to another site.
        """
        key = self._options.pop(context)
        if not key:
            context.close()
            return
        kept = [tab.page for tab in self._tabs.get(context, {}).values()]
        for page in context.pages[1:]:
            if page not in kept:
                page.close()
        context.clear_cookies()
        self._free[key].append(context)

    def take_tab(self, problems: list[str], *, base_url: str, fresh: bool = False, **options: Any) -> Tab:
        """Return a tab that nobody uses, in a context of its own with these options. Its `problems` are noted there."""
        screen = {name: options.pop(name, usual) for name, usual in SCREEN.items()}
        context = self.take(base_url=base_url, fresh=fresh, **options)
        tabs = self._tabs.setdefault(context, {})
        key = json.dumps(screen, sort_keys=True)
        if key not in tabs:
            tabs[key] = Tab(context.new_page(), site=base_url)
        tab = tabs[key]
        tab.problems = problems
        tab.show_as(**screen)
        return tab

    def give_back_tab(self, tab: Tab) -> None:
        """Keep a tab and its context for the next use. A tab in which another site is open is closed."""
        context = tab.page.context
        if not tab.leave():
            tabs = self._tabs[context]
            self._tabs[context] = {screen: other for screen, other in tabs.items() if other is not tab}
        self.give_back(context)


class Tab:
    """A page that notes its problems for a test: errors, breaches of the CSP, requests to other sites."""

    def __init__(self, page: Page, *, site: str) -> None:
        self.page = page
        self.problems: list[str] = []
        self._site = site
        self._devtools = page.context.new_cdp_session(page)
        page.set_default_timeout(PATIENCE)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        page.on("filechooser", lambda chooser: None)  # handled here: else, a key press may come before the dialog
        page.on("requestfailed", lambda request: self._note_failure(request.url))

    def show_as(self, *, viewport: Any, color_scheme: Any, reduced_motion: Any) -> None:
        """Set the screen, which a test may have changed."""
        if self.page.viewport_size != viewport:
            self.page.set_viewport_size(viewport)
        self.page.emulate_media(color_scheme=color_scheme, reduced_motion=reduced_motion)

    def forget(self) -> None:
        """Remove what the tab has shown before from its history."""
        self._devtools.send("Page.resetNavigationHistory")

    def leave(self) -> bool:
        """Leave the tab to the next test; return whether that is possible."""
        self.page.title()  # a round trip; after it, all messages of the page have arrived
        self.page.unroute_all()
        self.page.mouse.move(0, 0)  # where the mouse is in a new page
        left: bool = self.page.evaluate(_LEAVE, self._site)
        return left

    def _note_message(self, message: ConsoleMessage) -> None:
        where = message.location["url"]
        if message.type in ("error", "warning") and not _is_expected(message, where=where):
            self.problems.append(f"console: {message.text} ({where})")

    def _note_failure(self, url: str) -> None:
        """Note a request to another site: all of them fail here. To be told of each request would cost more time."""
        if not url.startswith((self._site, "data:")):
            self.problems.append(f"foreign request: {url}")


def _is_expected(message: ConsoleMessage, *, where: str) -> bool:
    """Return whether this is Chromium's message on a page with an error status."""
    own_status = message.page is not None and where == message.page.url
    return message.text.startswith("Failed to load resource") and own_status
