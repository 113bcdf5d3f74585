"""The languages of the interface, by gettext: app/translations/<language>/LC_MESSAGES/messages.po."""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, Response, after_this_request, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel, Domain, get_babel, get_locale
from werkzeug.utils import cached_property
from werkzeug.wrappers import Response as BaseResponse

from app.web.delivery import A_YEAR

LANGUAGES = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "it": "Italiano",
    "ja": "日本語",
}
Answer = TypeVar("Answer", bound=BaseResponse)
CHOICE = "lang"  # the parameter of an address, and the cookie


class _PoFiles(Domain):  # type: ignore[misc]
    """Texts from the .po files themselves: nothing that has to be compiled first, or could be older than they are."""

    def get_translations(self) -> NullTranslations:
        """Those of the reader's language; looked up once a request, for a page asks hundreds of times."""
        if "texts" not in g:
            g.texts = _texts(Path(get_babel().translation_directories[0]), str(get_locale()))
        found: NullTranslations = g.texts
        return found


class _Babel(Babel):  # type: ignore[misc]
    @cached_property
    def domain_instance(self) -> Domain:
        return _PoFiles()


def init_app(app: Flask) -> None:
    """Has pages speak the reader's language: `_()` and `ngettext()` in the templates."""
    _Babel(app, locale_selector=language, default_translation_directories="translations")
    app.jinja_env.globals.update(language=language, languages=LANGUAGES, address_in=address_in)
    app.before_request(_choose)
    app.after_request(_declare)


def language() -> str:
    """The one that was chosen, else the one that the browser prefers, of those there are; else English."""
    chosen = g.get(CHOICE) or request.cookies.get(CHOICE)
    return chosen if chosen in LANGUAGES else request.accept_languages.best_match(LANGUAGES) or "en"


def address_in(code: str) -> str:
    """Where one chooses a language: this page again, or the first one where no address leads to this one.

    That of the page of an upload takes the form that the page came of.
    """
    if request.blueprint == "pages":
        return _address(**{CHOICE: code})
    return f"{url_for('pages.home')}?{CHOICE}={code}"


def _choose() -> ResponseReturnValue | None:
    """Keeps the language that an address asks for, and leads to the same page without it; not from a form's answer."""
    if request.blueprint != "pages" or CHOICE not in request.args:
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
        response.set_cookie(CHOICE, chosen, max_age=A_YEAR, secure=request.is_secure, httponly=True, samesite="Lax")
    return response


def _declare(response: Response) -> Response:
    """Tells caches and readers which language a page is in, and what decided it."""
    if response.mimetype == "text/html" and not response.location:
        response.content_language.add(language())
        response.vary.update(("Accept-Language", "Cookie"))
    return response


def _address(**more: str) -> str:
    """This page's, with the language replaced; always on this site, for it is built of the route."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != CHOICE]
    query = urlencode([*kept, *more.items()])
    return url_for(str(request.endpoint)) + (f"?{query}" if query else "")


@cache
def _texts(folder: Path, code: str) -> NullTranslations:
    """The translations into a language; none for English, which is what the code says."""
    source = folder / code / "LC_MESSAGES" / "messages.po"
    if not source.exists():
        return NullTranslations()
    compiled = BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return Translations(compiled)
