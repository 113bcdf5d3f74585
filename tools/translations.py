"""Update the texts in app/translations from the templates and the code: add new ones empty, and remove old ones.

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
FACETS = "image_embeddings/es/facets.py"  # pages show the labels and choices of these facets
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {"**/templates/**.html": {"silent": "false"}}  # an error in a template is an error here
# Only the part of the usual header that gettext needs. Without dates and tools, the same texts make the same file.
HEADER = """msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plurals}\\n"

"""


def po_file(language: str) -> Path:
    """Return the path of the file with the texts of a language."""
    return APP / "translations" / language / "LC_MESSAGES" / "messages.po"


def languages() -> list[str]:
    """Return the languages that there are translations into."""
    return sorted(path.parent.parent.name for path in APP.glob("translations/*/LC_MESSAGES/messages.po"))


def extracted() -> Catalog:
    """Return the texts of the interface that are in the templates and in the code."""
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
    """Return the texts in the file of a language. A new language has none."""
    path = po_file(language)
    return read_po(BytesIO(path.read_bytes() if path.exists() else b""), locale=language)


def updated(language: str) -> bytes:
    """Return the .po file of a language with the current texts.

    They are sorted, so that the additions of two people seldom conflict.
    """
    catalog = translated(language)
    catalog.update(extracted(), no_fuzzy_matching=True)
    texts = BytesIO()
    write_po(texts, catalog, width=120, omit_header=True, sort_output=True, ignore_obsolete=True, include_lineno=False)
    return HEADER.format(language=language, plurals=catalog.plural_forms).encode() + texts.getvalue()


def missing(language: str) -> list[str]:
    """Return the texts that still have to be translated."""
    texts = [message for message in translated(language) if message.id]
    return [str(message.id) for message in texts if message.fuzzy or not all(_forms(message.string))]


def _forms(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def main(*new: str) -> None:
    """Write every .po file anew, and those of new languages. Print what still has to be translated."""
    for language in sorted({*languages(), *new}):
        path = po_file(language)
        text = updated(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        lacking = missing(language)
        texts = "text" if len(lacking) == 1 else "texts"
        print(f"{path.relative_to(APP.parent)}: {len(lacking)} {texts} to translate")
        for text_id in lacking:
            print(f"    {text_id}")


if __name__ == "__main__":
    main(*sys.argv[1:])
