"""Brings the texts of app/translations up to what the templates and the code say: new ones empty, old ones gone.

make translations, or for a new language: make translations LANGUAGES=pt
"""

import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from image_embeddings import KEYWORD_FACETS  # noqa: E402

APP = Path(__file__).resolve().parent.parent / "app"
FACETS = "image_embeddings/es/facets.py"  # whose labels and choices are shown on pages
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {"**/templates/**.html": {"silent": "false"}}  # a template with an error is one
# Of the usual header only what gettext needs: no dates and no tools, so that the same texts make the same file.
HEADER = """msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plurals}\\n"

"""


def po_file(language: str) -> Path:
    """Where the texts of a language are kept."""
    return APP / "translations" / language / "LC_MESSAGES" / "messages.po"


def languages() -> list[str]:
    """All that there are translations into."""
    return sorted(path.parent.parent.name for path in APP.glob("translations/*/LC_MESSAGES/messages.po"))


def extracted() -> Catalog:
    """The texts of the interface, as the templates and the code say them."""
    catalog = Catalog()
    found = extract_from_dir(APP, METHODS, OPTIONS, comment_tags=("Translators:",))
    for path, line, message, comments, context in found:
        said = [comment.removeprefix("Translators: ") for comment in comments]
        catalog.add(message, None, [(f"app/{path}", line)], auto_comments=said, context=context)
    for facet in KEYWORD_FACETS.values():
        for text in (facet.label, *facet.choices):
            catalog.add(text, None, [(FACETS, 0)])
    return catalog


def translated(language: str) -> Catalog:
    """The texts in a language, as its file has them; none for a new one."""
    path = po_file(language)
    return read_po(BytesIO(path.read_bytes() if path.exists() else b""), locale=language)


def updated(language: str) -> bytes:
    """The .po file of a language with the texts of today; sorted, so that what two people add seldom collides."""
    catalog = translated(language)
    catalog.update(extracted(), no_fuzzy_matching=True)
    texts = BytesIO()
    write_po(texts, catalog, width=120, omit_header=True, sort_output=True, ignore_obsolete=True, include_lineno=False)
    return HEADER.format(language=language, plurals=catalog.plural_forms).encode() + texts.getvalue()


def missing(language: str) -> list[str]:
    """The texts that still have to be translated."""
    texts = [message for message in translated(language) if message.id]
    return [str(message.id) for message in texts if message.fuzzy or not all(_forms(message.string))]


def _forms(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def main(*new: str) -> None:
    """Writes every .po file anew, and those of new languages; says what is still to be translated."""
    for language in sorted({*languages(), *new}):
        path = po_file(language)
        text = updated(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        lacking = missing(language)
        print(f"{path.relative_to(APP.parent)}: {len(lacking)} texts to translate")
        for text_id in lacking:
            print(f"    {text_id}")


if __name__ == "__main__":
    main(*sys.argv[1:])
