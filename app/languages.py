"""The languages of the interface, by gettext: app/translations/<language>/LC_MESSAGES/messages.po."""

from flask import Flask, request
from flask_babel import Babel

LANGUAGES = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "it": "Italiano",
    "ja": "日本語",
}


def init_app(app: Flask) -> None:
    """Has pages speak the reader's language: `_()` and `ngettext()` in the templates."""
    Babel(app, locale_selector=language, default_translation_directories="translations")
    app.jinja_env.globals["language"] = language


def language() -> str:
    """The one that the browser prefers, of those there are; else English."""
    return request.accept_languages.best_match(LANGUAGES) or "en"
