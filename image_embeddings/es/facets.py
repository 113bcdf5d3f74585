"""The keyword facets: searches can filter photos by their values, and count the photos of each. A row is a facet.

A row makes the field in the index, the filter and the counts in the API, and the choices on the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from image_embeddings.documents import MAX_IMAGE_ID_BYTES, ORIENTATIONS, ImageDocument

FACET_VALUES = 100  # the most frequent ones are counted
FOLDER_VALUES = 500
# Each shard names so many of its values at most. So counts over several shards are exact unless a shard has more values
# than this. By default it names little more than are wanted.
SHARD_VALUES = 5_000
MAX_VALUE_BYTES = 8_000  # four for each character of the longest value that a metadata file may have


@dataclass(frozen=True, kw_only=True)
class KeywordFacet:
    """A keyword of photos. Searches can filter by it, and count the photos of each value."""

    name: str  # name of the parameter, and of the counts in answers
    field: str  # field of the index; its type is keyword
    values_of: Callable[[ImageDocument], str | Sequence[str] | None]  # returns what the index stores for a photo
    label: str  # name on the pages; translated in app/translations
    help: str  # what the parameter does, for the API's description
    choices: tuple[str, ...] = ()  # the only values that exist, translated like the label; empty: any value
    counted: int = FACET_VALUES  # number of values that are counted, at most
    max_bytes: int = MAX_VALUE_BYTES  # length of a value, at most
    strip: str = ""  # characters to remove from both ends of a value


def _folders(document: ImageDocument) -> list[str]:
    """Return the folder of a photo and all folders above it."""
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
            help="Only photos of this folder and the folders below it. If there are several, of any of them.",
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
