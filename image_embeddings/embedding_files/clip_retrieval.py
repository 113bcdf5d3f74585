"""Files as clip-retrieval, autofaiss and others read them: embeddings as .npy, and a Parquet table beside each.

The row N of `img_emb/img_emb_0.npy` belongs to the row N of `metadata/metadata_0.parquet`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from image_embeddings.embedding_files.folder import SUCCESS, begin_export, write_text
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.embedding_files.parquet import Row, write_documents
from image_embeddings.file_stores.store import FileStore

PART_ROWS = 100_000  # of which all embeddings are in memory; 100 MB at 512 dims and float16
_PARTS = ("img_emb/img_emb_*.npy", "metadata/metadata_*.parquet")


@dataclass(frozen=True, kw_only=True)
class WrittenPart:
    """A pair of files that was written."""

    rows: int
    bytes: int


def begin(store: FileStore, origin: Origin) -> None:
    """Make the folder ready. Raise EmbeddingFilesError as `begin_export` does."""
    begin_export(store, origin, parts=_PARTS)


def write_pairs(
    store: FileStore, origin: Origin, rows: Iterable[Row], *, total: int, part_rows: int, float32: bool
) -> Iterator[WrittenPart]:
    """Write documents with their embeddings into pairs of files, of at most `part_rows` rows each.

    The numbers in the names have as many digits as the last one, if there are `total` rows: others sort them by name.
    Iterate to the end, and call `finish` then. Raise StoreError if a file cannot be written.
    """
    digits = len(str(max(0, (total - 1) // part_rows)))
    source = iter(rows)
    number = 0
    while part := list(islice(source, part_rows)):
        name = f"{number:0{digits}}"
        documents = [document for document, _ in part]
        embeddings = np.array([embedding for _, embedding in part], np.float32 if float32 else np.float16)
        with store.write_whole(f"img_emb/img_emb_{name}.npy") as array:
            with array.open("wb") as file:
                np.save(file, embeddings)
            size = array.stat().st_size
        with store.write_whole(f"metadata/metadata_{name}.parquet") as table:
            write_documents(table, documents, paths=[_path(each.image_id, origin.corpus) for each in documents])
            size += table.stat().st_size
        yield WrittenPart(rows=len(part), bytes=size)
        number += 1


def finish(store: FileStore, origin: Origin, parts: list[WrittenPart]) -> None:
    """Note that all files are there."""
    text = {"export_id": origin.export_id, "files": len(parts), "rows": sum(part.rows for part in parts)}
    write_text(store, SUCCESS, json.dumps(text, indent=1))


def _path(image_id: str, corpus: str | None) -> str:
    """Return the path of a photo, below the folder that was indexed if that is known."""
    return f"{corpus.rstrip('/')}/{image_id}" if corpus else image_id
