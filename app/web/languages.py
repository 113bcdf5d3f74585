"""The languages of the interface, by gettext.

Each language has app/translations/<language>/LC_MESSAGES/messages.mo, compiled from messages.po.
"""

from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from babel.support import NullTranslations
from flask import Flask, Response, after_this_request, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel, get_translations
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
FOLDER = "translations"
CHOICE = "lang"  # the parameter of an address, and the cookie


def init_app(app: Flask) -> None:
    """Show pages in the reader's language, by `_()` and `ngettext()` in the templates.

    Log a warning if translations are not compiled, or if their .po files are newer.
    """
    Babel(app, locale_selector=language, default_translation_directories=FOLDER)
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # by Jinja's extension for gettext
        lambda text: _translations().gettext(text),
        lambda one, many, number: _translations().ngettext(one, many, number),
        newstyle=True,
    )
    app.jinja_env.globals.update(language=language, languages=LANGUAGES, address_in=address_in)
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


def _translations() -> NullTranslations:
    """Return the translations for this request. They are looked up once: a page needs them hundreds of times."""
    if "translations" not in g:
        g.translations = get_translations()
    found: NullTranslations = g.translations
    return found


def language() -> str:
    """Return the code of the chosen language, else of the one in LANGUAGES that the browser prefers, else "en"."""
    chosen = g.get(CHOICE) or request.cookies.get(CHOICE)
    return chosen if chosen in LANGUAGES else request.accept_languages.best_match(LANGUAGES) or "en"


def address_in(code: str) -> str:
    """Return the address that chooses a language: this page again, or the home page if this page has no address.

    The page of an upload has to be asked for by its form, which is sent to this address.
    """
    if request.blueprint in ("pages", "login"):
        return _address(**{CHOICE: code})
    return f"{url_for('pages.home')}?{CHOICE}={code}"


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
        response.set_cookie(
            CHOICE,
            chosen,
            max_age=A_YEAR,
            path=request.script_root or "/",  # what else is at the proxy's address does not get it
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
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
