"""The keyword facets: what photos are filtered by, and counted by, value for value. One row makes one facet.

A row gives its field in the index, its filter and its counts in the API, and its choices on the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from image_embeddings.documents import MAX_IMAGE_ID_BYTES, ORIENTATIONS, ImageDocument

FACET_VALUES = 100  # that are counted, the most frequent first
FOLDER_VALUES = 500
MAX_VALUE_BYTES = 8_000  # four for each character of the longest that a metadata file may have


@dataclass(frozen=True, kw_only=True)
class KeywordFacet:
    """A keyword of photos that searches are filtered by, and whose values are counted."""

    name: str  # of the parameter, and of the counts in answers
    field: str  # of the index; its type is keyword
    values_of: Callable[[ImageDocument], str | Sequence[str] | None]  # what the index holds of a photo
    label: str  # what pages call it; translated in app/translations
    help: str  # what the parameter does, for the API's description
    choices: tuple[str, ...] = ()  # the only values there are, translated like the label; none: any value
    counted: int = FACET_VALUES  # values at most
    max_bytes: int = MAX_VALUE_BYTES  # of a value
    strip: str = ""  # characters that are no part of a value at its ends


def _folders(document: ImageDocument) -> list[str]:
    """Return the folder of a photo, and those above it."""
    parts = document.image_id.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


KEYWORD_FACETS = {
    facet.name: facet
    for facet in (
        KeywordFacet(
            name="folder",
            field="folders",
            values_of=_folders,
            label="Folder",
            help="Only photos of this folder and those below it; of any of them, where there are several.",
            counted=FOLDER_VALUES,
            max_bytes=MAX_IMAGE_ID_BYTES,
            strip="/",
        ),
        KeywordFacet(
            name="label",
            field="label",
            values_of=lambda document: document.label,
            label="Label",
            help="Only photos of this label.",
        ),
        KeywordFacet(
            name="camera",
            field="camera_model",
            values_of=lambda document: document.camera_model,
            label="Camera",
            help="Only photos by this camera model.",
        ),
        KeywordFacet(
            name="orientation",
            field="orientation",
            values_of=lambda document: document.orientation,
            label="Shape",
            help="Only photos of this shape.",
            choices=ORIENTATIONS,
        ),
    )
}
