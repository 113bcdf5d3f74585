"""A language in which every translation stands in brackets, so a text without brackets was not translated."""

import re
from html.parser import HTMLParser
from pathlib import Path

from babel.messages import Catalog
from babel.messages.mofile import write_mo

from tools.translations import extracted

OPEN, CLOSE = "⟦", "⟧"
SEEN_ATTRIBUTES = ("alt", "aria-label", "data-drop", "data-words", "placeholder", "title")
# Code, data, other languages, and elements without text.
NOT_TRANSLATED = ("code", "script", "style")
WORD = re.compile(r"[^\W\d_]{2,}")


def write_translations(folder: Path, language: str) -> None:
    """Make a folder of translations in which that language has all texts in brackets."""
    catalog = Catalog(locale=language)
    for message in extracted():
        if message.id:
            forms = message.id if isinstance(message.id, tuple) else (message.id,)
            said = tuple(f"{OPEN}{forms[min(number, len(forms) - 1)]}{CLOSE}" for number in range(catalog.num_plurals))
            catalog.add(message.id, said if message.pluralizable else said[0])
    path = folder / language / "LC_MESSAGES" / "messages.mo"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        write_mo(file, catalog)


def forgotten(html: str, *, language: str, data: tuple[str, ...] = ()) -> list[str]:
    """Return the texts of a page that are not translated, except `data`: names, sizes and texts of users."""
    reader = _Reader(language)
    reader.feed(html)
    reader.close()
    left = [_without(text, data) for text in _outside_brackets(reader.texts)]
    left += [_without(text, data) for value in reader.values for text in _outside_brackets([value])]
    return [text for text in left if WORD.search(text)]


def _without(text: str, data: tuple[str, ...]) -> str:
    for known in sorted(data, key=len, reverse=True):
        text = text.replace(known, "")
    return text.strip()


def _outside_brackets(texts: list[str]) -> list[str]:
    """Return the rest of a text without its translations, which may span several texts: "Model <b>conse</b>"."""
    found, depth = [], 0
    for text in texts:
        for part in re.split(f"([{OPEN}{CLOSE}])", text):
            if part in (OPEN, CLOSE):
                depth += 1 if part == OPEN else -1
            elif depth == 0 and part.strip():
                found.append(part)
    assert depth == 0, texts
    return found


class _Reader(HTMLParser):
    """Collects texts and attributes of a page, as far as they are in its language."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.values: list[str] = []
        self._language = language
        self._open: list[tuple[str, bool]] = []  # element, and whether it is to be translated

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        seen = tag not in NOT_TRANSLATED and given.get("lang", self._language) == self._language
        seen = seen and (not self._open or self._open[-1][1]) and "hreflang" not in given
        if tag not in ("img", "input", "meta", "link", "br", "use", "path", "rect", "circle"):
            self._open.append((tag, seen))
        if seen:
            self.values += [value for name, value in attrs if name in SEEN_ATTRIBUTES and value]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # shapes within pictures

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1][1]:
            self.texts.append(data)
