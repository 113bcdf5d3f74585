import re

import pytest
from jinja2 import DictLoader

from app import create_app
from app.web.languages import LANGUAGES
from app.web.templates import render_template
from image_embeddings.config import load_settings

GERMAN = {"Accept-Language": "de"}


def rendered(template, *, app=None, headers=GERMAN, **values):
    app = app or create_app(load_settings({}))
    app.jinja_env.loader = DictLoader({"a.html": template, "b.html": '{{ _("Search") }}'})
    app.jinja_env.bytecode_cache = None
    with app.test_request_context(headers=headers):
        return render_template("a.html", **values)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{{ _("Search") }}', "Suchen"),
        ('{{ _("Search") | upper }}', "SUCHEN"),
        ('{{ (_("Search"), _("Remove"))[i] }}', "Entfernen"),
        ('{% include "b.html" %}', "Suchen"),
        ('{{ _("Remove %(part)s", part=text) }}', "„&lt;b&gt;&amp;“ entfernen"),
        ('{{ _("Remove %(part)s", part=_("Search")) }}', "„Suchen“ entfernen"),
        ('a{{ _("Remove %(part)s", part=text) ~ "<" }}', "a„&lt;b&gt;&amp;“ entfernen&lt;"),
        ('{{ _("%(part)d%% of %(all)s", part=i, all=text) }}', "1% of &lt;b&gt;&amp;"),
        ('{{ _("%(part)s and %(part)s", part=text) }}', "&lt;b&gt;&amp; and &lt;b&gt;&amp;"),
        ('{{ "<i>" ~ text }}', "&lt;i&gt;&lt;b&gt;&amp;"),
        ('{{ _("a text that nobody has translated") }}', "a text that nobody has translated"),
    ],
)
def test_texts_are_translated_and_values_are_escaped(template, expected):
    assert rendered(template, text="<b>&", i=1) == expected


def test_each_language_has_its_own_texts_in_one_app():
    app = create_app(load_settings({}))
    pages = {
        code: rendered('{{ _("Remove") }}', app=app, headers={"Accept-Language": code})
        for code in (*LANGUAGES, *LANGUAGES)
    }
    assert len(set(pages.values())) == len(LANGUAGES)
    assert (pages["en"], pages["de"]) == ("Remove", "Entfernen")


def test_constant_texts_are_not_looked_up_again():
    app = create_app(load_settings({}))
    for _ in range(2):
        assert rendered('{{ _("Search") }}', app=app) == "Suchen"
        app.jinja_env.globals["_"] = None
    assert re.search("Suchen", rendered('{{ _("Search") }}', app=app))
