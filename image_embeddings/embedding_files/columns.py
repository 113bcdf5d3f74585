"""What a column holds for each field of a document, by the type of the field. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from image_embeddings.documents import ImageDocument

HINTS: dict[str, Any] = get_type_hints(ImageDocument)


def _unchanged(value: Any) -> Any:
    return value


def _place(value: tuple[float, float] | None) -> dict[str, float] | None:
    return {"lat": value[0], "lon": value[1]} if value else None


# Type of a field of ImageDocument -> what pyarrow gets for a value of it, and what is made of what pyarrow gives. Each
# type has a row in `parquet._types`, too. A field of a new type fails here, and is not left out.
STORED: dict[Any, Callable[[Any], Any]] = {
    str: _unchanged,
    int: _unchanged,
    str | None: _unchanged,
    int | None: _unchanged,
    float | None: _unchanged,
    tuple[str, ...]: list,
    Mapping[str, str]: lambda value: list(value.items()),
    tuple[float, float] | None: _place,
}
READ: dict[Any, Callable[[Any], Any]] = {
    **STORED,
    tuple[str, ...]: lambda values: tuple(value for value in values if value is not None),
    Mapping[str, str]: lambda pairs: {column: value for column, value in pairs if value is not None},
    tuple[float, float] | None: lambda value: (value["lat"], value["lon"]),
}
