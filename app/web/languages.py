"""The languages of the interface, by gettext.

Each language has app/translations/<language>/LC_MESSAGES/messages.mo, compiled from messages.po.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from babel import numbers
from babel.support import NullTranslations
from flask import Flask, Response, after_this_request, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel, get_locale, get_translations
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from app.web.cookies import set_cookie
from app.web.delivery import A_YEAR
from app.web.request_limits import is_address_too_long

LANGUAGES = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "it": "Italiano",
    "ja": "日本語",
}
Answer = TypeVar("Answer", bound=BaseResponse)
FOLDER = "translations"
NUMBERS_KEPT = 10_000
CHOICE = "lang"  # the parameter of an address, and the cookie


def init_app(app: Flask) -> None:
    """Show pages in the reader's language, by `_()` and `ngettext()` in the templates.

    Log a warning if translations are not compiled, or if their .po files are newer.
    """
    app.extensions["readers"] = {}
    Babel(app, locale_selector=language, default_translation_directories=FOLDER)
    app.jinja_env.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    # Those of Jinja's extension for gettext do the same, but take a third of the time of a page.
    app.jinja_env.globals.update(_=translate_markup, gettext=translate_markup, ngettext=_markup_of_number)
    app.add_template_filter(format_decimal, "decimalformat")
    app.jinja_env.globals.update(language=language, languages=LANGUAGES, address_of_languages=address_of_languages)
    warn_of_stale(app, Path(app.root_path) / FOLDER)


def warn_of_stale(app: Flask, folder: Path) -> None:
    """Log a warning with the remedy if translations in `folder` are stale: missing, or older than their .po file."""
    if stale := stale_languages(folder):
        app.logger.warning(
            "Pages lack texts in these languages, or show old ones: %s. Their translations are not compiled: run "
            "pybabel compile -d %s (with .venv/bin/ before it, or make install), and start again.",
            ", ".join(stale),
            folder,
        )


def stale_languages(folder: Path) -> list[str]:
    """Return the languages whose compiled translations are missing in `folder`, or older than their .po file."""
    return [code for code in LANGUAGES if code != "en" and _is_stale(folder / code / "LC_MESSAGES")]


def _is_stale(catalogues: Path) -> bool:
    compiled, texts = catalogues / "messages.mo", catalogues / "messages.po"
    if not compiled.exists():
        return True
    return texts.exists() and compiled.stat().st_mtime_ns < texts.stat().st_mtime_ns


class Reader:
    """The texts and numbers of a language. It is made once for each language, because a page has hundreds of them."""

    def __init__(self) -> None:
        """Take the language of the current request."""
        self.translations: NullTranslations = get_translations()
        locale = get_locale()
        self.locale: str | None = str(locale) if locale else None
        self._markup: dict[str, Markup] = {}  # of the texts of templates

    def translate_markup(self, text: str, /, **values: Any) -> Markup:
        """Return a template's text in this language. Values that are no markup are escaped."""
        found = self._markup.get(text)
        if found is None:
            found = self._markup[text] = Markup(self.translations.gettext(text))  # no text of a visitor
        return found % values if values else found

    def markup_of_number(self, one: str, many: str, number: int, /, **values: Any) -> Markup:
        """Return a template's text for a number of things, as `translate_markup` does."""
        found = Markup(self.translations.ngettext(one, many, number))  # no text of a visitor
        return found % {"num": number, **values}

    def format_decimal(self, number: float, format: str | None = None) -> str:  # noqa: A002  # as flask-babel calls it
        """Return a number in this language. It is kept, because pages show the same numbers again."""
        return _format_decimal(number, format, self.locale)


def reader() -> Reader:
    """Return the reader of this request; outside of one, a reader of English."""
    try:
        found: Reader = g.reader
    except AttributeError:
        found = g.reader = _reader_of(language())
    except RuntimeError:  # by Flask, outside of an app
        found = Reader()
    return found


def _reader_of(code: str) -> Reader:
    """Return the reader of the language of this request, which has that code."""
    readers: dict[str, Reader] = current_app.extensions["readers"]
    if code not in readers:
        readers[code] = Reader()
    return readers[code]


def gettext(text: str, /, **values: Any) -> str:
    """Return a text in the reader's language, with these values in it."""
    found = reader().translations.gettext(text)
    return found % values if values else found


def ngettext(one: str, many: str, number: int, /, **values: Any) -> str:
    """Return a text for a number of things in the reader's language, with these values in it."""
    return reader().translations.ngettext(one, many, number) % {"num": number, **values}


def translate_markup(text: str, /, **values: Any) -> Markup:
    """Return a template's text in the reader's language. Values that are no markup are escaped."""
    return reader().translate_markup(text, **values)


def _markup_of_number(one: str, many: str, number: int, /, **values: Any) -> Markup:
    """Return a template's text for a number of things, as `translate_markup` does."""
    return reader().markup_of_number(one, many, number, **values)


def format_decimal(number: float, format: str | None = None) -> str:  # noqa: A002  # as flask-babel calls it
    """Return a number in the reader's language."""
    return reader().format_decimal(number, format)


@lru_cache(NUMBERS_KEPT, typed=True)
def _format_decimal(number: float, pattern: str | None, locale: str | None) -> str:
    return numbers.format_decimal(number, format=pattern, locale=locale)


def language() -> str:
    """Return the code of the chosen language, else of the one in LANGUAGES that the browser prefers, else "en"."""
    found: str | None = g.get(CHOICE)
    if found is None:
        kept = request.cookies.get(CHOICE)
        found = kept if kept in LANGUAGES else request.accept_languages.best_match(LANGUAGES) or "en"
        setattr(g, CHOICE, found)
    return found


def address_of_languages() -> str:
    """Return the address that chooses the language whose code is added to it.

    It is that of this page again, or of the home page if this page has no address.

    A page whose address is too long has none. The page of an upload has to be asked for by its form, which is sent to
    this address.
    """
    if request.blueprint in ("pages", "login") and not is_address_too_long():
        return _address(**{CHOICE: ""})
    return f"{url_for('pages.home')}?{CHOICE}="


def choose() -> ResponseReturnValue | None:
    """Keep the language that a page's address asks for. Redirect to the address without it, unless a form is sent."""
    if CHOICE not in request.args:
        return None
    chosen = request.args[CHOICE]
    if request.method in ("GET", "HEAD"):
        return _keep(chosen, redirect(_address()))
    if chosen in LANGUAGES:
        setattr(g, CHOICE, chosen)

        @after_this_request
        def keep(response: Response) -> Response:
            return _keep(chosen, response)

    return None


def _keep(chosen: str, response: Answer) -> Answer:
    if chosen in LANGUAGES:
        set_cookie(response, CHOICE, chosen, max_age=A_YEAR)
    return response


def declare(response: Response) -> Response:
    """Declare the language of a page to caches and readers, and the headers that it depends on."""
    if response.mimetype == "text/html" and not response.location:
        response.content_language.add(language())
        response.vary.update(("Accept-Language", "Cookie"))
    return response


def _address(**more: str) -> str:
    """Return the address of this page with `more` in place of the language.

    It is always on this site, because it is made from the route.
    """
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != CHOICE]
    query = urlencode([*kept, *more.items()])
    return url_for(str(request.endpoint)) + (f"?{query}" if query else "")
