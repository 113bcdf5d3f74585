"""Documents as an index holds them. Others may write to an index, too, so no value of it is believed. No I/O."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from image_embeddings.documents import ImageDocument, is_content_hash, is_image_id
from image_embeddings.errors import IndexForeignError, shorten

_BASE64 = re.compile(r"[A-Za-z0-9+/]{0,4000}={0,2}")  # a preview has about 100 characters


def document_of(hit: Mapping[str, Any]) -> ImageDocument:
    """Return the document of a hit, which has its `_id` and, but for the embedding, its `_source`.

    A content hash that could lead to another file, and a preview that is no picture in base64, are left out: they are
    made anew. Raise IndexForeignError if another value is of a kind that this program never writes. Such an image_id
    could lead to a file outside the folder of the photos.
    """
    values = {name: value for name, value in hit["_source"].items() if name in _FIELDS and value is not None}
    _check(hit["_id"], values)
    location, preview = values.get("location"), values.get("preview")
    values |= {
        "content_hash": values["content_hash"] if is_content_hash(values.get("content_hash")) else "",
        "location": (location["lat"], location["lon"]) if location else None,
        "keywords": tuple(values.get("keywords", ())),
        "persons": tuple(values.get("persons", ())),
        "preview": preview if _is_base64(preview) else None,
        "format": values.get("format", 1),
    }
    return ImageDocument.of_checked(values)


def read_hits(hits: Iterable[Mapping[str, Any]]) -> tuple[dict[str, ImageDocument], tuple[str, ...]]:
    """Return `_id` -> document of hits, and the `_id`s of the hits whose documents this program did not write."""
    documents, foreign = {}, []
    for hit in hits:
        try:
            documents[hit["_id"]] = document_of(hit)
        except IndexForeignError:
            foreign.append(hit["_id"])
    return documents, tuple(foreign)


def left_out_message(document_ids: Sequence[str]) -> str:
    """Return what the operator is told of documents that were left out, of which there is at least one: one line."""
    distinct = list(dict.fromkeys(document_ids))
    return (
        f"Documents of the index left out, because this program did not write them: {len(distinct)} (the first is "
        f"{shorten(distinct[0])!r}). Delete them, or build the index anew: index --rebuild"
    )


def _check(document_id: str, values: Mapping[str, Any]) -> None:
    """Raise IndexForeignError if this program cannot have written these values."""
    missing = [] if values.keys() >= _REQUIRED else sorted(_REQUIRED - values.keys())
    # Most values are of their kind's very type, which is seen faster than by a function.
    wrong = [
        name for name, value in values.items() if type(value) is not _TYPES.get(name) and not _is_sound(name, value)
    ]
    if missing or wrong or values["image_id"] != document_id:
        raise IndexForeignError(
            f"The index holds a document that this program did not write: '{shorten(document_id)}' has no sound "
            f"{[*missing, *wrong, 'image_id'][0]}. Delete that document, or build the index anew: index --rebuild."
        )


def _is_sound(name: str, value: object) -> bool:
    is_sound = _IS_SOUND.get(name)
    return is_sound is None or is_sound(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_side(value: object) -> bool:
    return _is_whole_number(value) and value > 0


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _is_place(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_number(value.get(name)) for name in ("lat", "lon"))


def _are_columns(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_text(each) for each in value.values())


def _is_base64(value: object) -> bool:
    return isinstance(value, str) and _BASE64.fullmatch(value) is not None


_FIELDS = frozenset(ImageDocument.__dataclass_fields__)
_REQUIRED = frozenset({"image_id", "width", "height", "bytes", "mtime_ns"})
_WHOLE_NUMBERS = ("bytes", "mtime_ns", "ctime_ns", "inode", "rating", "format")
_OTHERS: dict[str, Callable[[object], bool]] = {
    "image_id": is_image_id,
    "width": _is_side,
    "height": _is_side,
    "location": _is_place,
    "altitude": _is_number,
    "keywords": _are_texts,
    "persons": _are_texts,
    "extra": _are_columns,
}
_REPLACED = ("content_hash", "preview")
_IS_SOUND: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(sorted(_FIELDS.difference(_REPLACED)), _is_text),
    **dict.fromkeys(_WHOLE_NUMBERS, _is_whole_number),
    **_OTHERS,
}
_TYPES: dict[str, type] = {
    **{name: str for name, is_sound in _IS_SOUND.items() if is_sound is _is_text},
    **dict.fromkeys(_WHOLE_NUMBERS, int),
}
