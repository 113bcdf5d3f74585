"""A program that imports files of embeddings in small requests, for tests that kill it."""

import json
import sys
from pathlib import Path

from image_embeddings.config import load_settings
from image_embeddings.indexing.embedding_import import import_embeddings
from image_embeddings.indexing.report import IndexOptions
from tests.fakes import RecordedProgress


def main(folder: str, environ: str) -> None:
    """Import `folder` by the settings `environ`, a JSON object, in which REBUILD says whether to rebuild the index."""
    values = json.loads(environ)
    rebuild = bool(values.pop("REBUILD", ""))
    options = IndexOptions(chunk_size=20)
    import_embeddings(load_settings(values), Path(folder), rebuild=rebuild, options=options, progress=RecordedProgress)


if __name__ == "__main__":
    main(*sys.argv[1:])
