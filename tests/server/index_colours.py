"""A program that indexes a folder with ColourEncoder, for tests that kill it."""

import sys
from pathlib import Path

from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.indexing import pipeline
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos.decoders import INDEXING, Decoders
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from tests.fakes import ColourEncoder, RecordedProgress


def main(url: str, name: str, folder: str, thumbnails: str, *faults: str) -> None:
    """Make the index `name` at `url` hold the photos of `folder`. `faults` are modules for processes that decode."""
    index = ImageIndex(connect([url]), name=name)
    pipeline.run(
        make_plan(FolderSource(Path(folder)), indexed=index.documents.file_states()),
        index=index,
        encoder=ColourEncoder(calls=2),
        thumbnails=Thumbnails(Path(thumbnails)),
        progress=RecordedProgress(),
        options=IndexOptions(batch_size=4, chunk_size=7),
        decoders=Decoders(2, limits=INDEXING, modules=faults),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
