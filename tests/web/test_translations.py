"""The texts of the interface in each language: they are complete, and equal those of templates, code and scripts."""

import json
import os
import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from babel.messages.mofile import read_mo
from flask import render_template

from app import create_app
from app.web import languages
from app.web.languages import LANGUAGES, stale_languages
from image_embeddings.config import ROOT, load_settings
from tools import translations

OTHERS = [code for code in LANGUAGES if code != "en"]
UI = translations.APP / "static" / "ui"
NAMED = re.compile(r"%\((\w+)\)s|\{(\w+)\}")
every_language = pytest.mark.parametrize("code", OTHERS)


def messages(code):
    return [message for message in translations.translated(code) if message.id]


def forms_of(message, texts):
    return texts if message.pluralizable else (texts,)


@every_language
def test_the_texts_of_a_language_are_those_of_the_interface(code):
    said = {message.id for message in translations.extracted()}
    kept = {message.id for message in translations.translated(code)}
    assert said ^ kept == set(), "make translations adds what is new and removes what is gone"
    assert translations.po_file(code).read_bytes() == translations.updated(code), "make translations"


@every_language
def test_every_text_is_translated(code):
    assert translations.missing(code) == []


@every_language
def test_translations_have_the_placeholders_of_their_text_and_their_number_of_plurals(code):
    plurals = translations.translated(code).num_plurals
    for message in messages(code):
        said = forms_of(message, message.string)
        assert len(said) == (plurals if message.pluralizable else 1), message.id
        for form in said:
            assert sorted(NAMED.findall(form)) == sorted(NAMED.findall(forms_of(message, message.id)[-1])), form


@every_language
def test_translations_hold_no_html_and_no_typewriter_quotes(code):
    forms = [form for message in messages(code) for form in forms_of(message, message.string)]
    assert len(forms) > 100
    assert [form for form in forms if re.search(r"""[<>&"']""", form)] == []


def test_french_has_narrow_spaces_before_high_signs():
    texts = translations.po_file("fr").read_text(encoding="utf-8").split("msgstr")[2:]
    said = [text.split("\n\n")[0] for text in texts]
    assert any("\u202f:" in text for text in said)
    assert [text for text in said if re.search(r"[^\u202f\"][:;?!»]|«[^\u202f]", text)] == []


def test_there_are_translations_into_every_language_and_no_other():
    assert translations.languages() == sorted(OTHERS)


def test_the_texts_of_the_scripts_are_listed_and_no_others():
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in UI.glob("*.js") if path.name != "words.js")
    spoken = set(re.findall(r'\bt\("([^"]+)"', scripts))
    assert len(re.findall(r"\bt\(", scripts)) == len(re.findall(r'\bt\("', scripts)), "t() takes a text as it stands"
    with create_app(load_settings({})).test_request_context():
        block = render_template("_words.html")
    listed = json.loads(re.search(r'id="words">(.*?)</script>', block, re.S)[1])
    assert set(listed) ^ spoken == set(), "app/templates/_words.html lists what t() says"
    assert [text for text, said in listed.items() if text != said] == []  # in English


def test_the_tool_names_a_new_text_and_removes_an_old_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(translations, "APP", tmp_path / "app")
    monkeypatch.setattr(translations, "KEYWORD_FACETS", {})
    (tmp_path / "app" / "templates").mkdir(parents=True)
    page = tmp_path / "app" / "templates" / "a.html"
    page.write_text('{{ _("An old text") }}')
    translations.main("de")
    page.write_text('{# Translators: a fruit #}\n{{ ngettext("%(n)s apple", "%(n)s apples", 2, n=2) }}')
    translations.main()
    assert capsys.readouterr().out.endswith("1 text to translate\n    ('%(n)s apple', '%(n)s apples')\n")
    text = translations.po_file("de").read_text()
    assert "An old text" not in text
    assert '#. a fruit\n#: app/templates/a.html\n#, python-format\nmsgid "%(n)s apple"' in text
    assert "nplurals=2" in text


# Compiled


@every_language
def test_the_pages_show_the_texts_of_the_po_files(code):
    with translations.po_file(code).with_suffix(".mo").open("rb") as file:
        compiled = texts_of(message for message in read_mo(file) if message.id)
    assert compiled == texts_of(messages(code)), "make translations"


def texts_of(catalog):
    return {tuple(forms_of(message, message.id)): tuple(forms_of(message, message.string)) for message in catalog}


@pytest.fixture
def place(tmp_path):
    """A folder with the Makefile and the translations, compiled a second after they were written."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "app" / "translations", tmp_path / "app" / "translations")
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        (tmp_path / name).touch()
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / ".venv").mkdir()
    for path in tmp_path.rglob("*"):
        seconds = 2_000 if path.suffix == ".mo" or path.name.startswith(".") else 1_000
        os.utime(path, (seconds, seconds))
    for name in (".installed", ".installed-dev"):
        (tmp_path / ".venv" / name).touch()
    return SimpleNamespace(folder=tmp_path / "app" / "translations", path=tmp_path)


def made(place, target):
    """Return the languages that `make` would compile."""
    said = subprocess.run(["make", "-n", target], cwd=place.path, check=True, capture_output=True, text=True).stdout
    return re.findall(r"pybabel .* -l (\w+)$", said, re.M)


@pytest.mark.parametrize("target", ["install", "install-dev", "run", "serve", "test"])
def test_make_compiles_only_missing_and_changed_translations(place, target):
    assert made(place, target) == []
    os.utime(place.folder / "de" / "LC_MESSAGES" / "messages.po", (3_000, 3_000))
    (place.folder / "ja" / "LC_MESSAGES" / "messages.mo").unlink()
    assert sorted(made(place, target)) == ["de", "ja"]
    assert stale_languages(place.folder) == ["de", "ja"]


def warnings_of(folder, caplog):
    """Return the warnings of the app at its start about translations in that folder."""
    caplog.clear()
    app = create_app(load_settings({}))
    languages.warn_of_stale(app, folder)
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_the_app_warns_at_its_start_if_translations_are_missing_or_old(place, caplog):
    assert warnings_of(place.folder, caplog) == []
    os.utime(place.folder / "de" / "LC_MESSAGES" / "messages.po", (3_000, 3_000))
    (line,) = warnings_of(place.folder, caplog)
    assert ": de." in line
    assert f"pybabel compile -d {place.folder}" in line
    shutil.rmtree(place.folder)
    (line,) = warnings_of(place.folder, caplog)
    assert ": de, es, fr, it, ja." in line


def test_a_catalogue_without_its_texts_is_not_old(place):
    for path in place.folder.rglob("*.po"):
        path.unlink()
    assert stale_languages(place.folder) == []
