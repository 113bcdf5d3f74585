"""An index filled with the six colour photos of tests/pictures.py."""

from image_embeddings.indexing import pipeline
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from tests.fakes import COLOURS, ColourEncoder, RecordedProgress
from tests.pictures import colour_photos, save


def fill(index, folder, *, encoder=None):
    """Make the photos below `folder`/photos, and index them."""
    photos = colour_photos(folder / "photos")
    pipeline.run(
        make_plan(FolderSource(photos), indexed=index.documents.file_states()),
        index=index,
        encoder=encoder or ColourEncoder(),
        thumbnails=Thumbnails(folder / "data" / "thumbnails"),
        progress=RecordedProgress(),
        options=IndexOptions(),
    )
    return photos


def add_photos(photos):
    """Add seven photos to a folder."""
    for number, colour in enumerate(COLOURS.values()):
        save(photos / "new" / f"{number}.png", colour=colour, size=(30, 20 + number))
