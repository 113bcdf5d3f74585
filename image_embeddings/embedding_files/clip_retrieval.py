"""Files as clip-retrieval, autofaiss and others read them: embeddings as .npy, and a Parquet table beside each.

The row N of `img_emb/img_emb_0.npy` belongs to the row N of `metadata/metadata_0.parquet`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from image_embeddings.embedding_files.folder import SUCCESS, begin_export
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.embedding_files.parquet import Row, write_documents
from image_embeddings.embedding_files.whole_files import moved_when_whole, write_errors, write_whole

PART_ROWS = 100_000  # of which all embeddings are in memory; 100 MB at 512 dims and float16
_PARTS = ("img_emb/img_emb_*.npy", "metadata/metadata_*.parquet")


@dataclass(frozen=True, kw_only=True)
class WrittenPart:
    """A pair of files that was written."""

    rows: int
    bytes: int


def begin(folder: Path, origin: Origin) -> None:
    """Make the folder ready. Raise EmbeddingFilesError as `begin_export` does."""
    begin_export(folder, origin, parts=_PARTS)
    with write_errors(folder):
        for pattern in _PARTS:
            (folder / pattern).parent.mkdir(exist_ok=True)


def write_pairs(
    folder: Path, origin: Origin, rows: Iterable[Row], *, total: int, part_rows: int, float32: bool
) -> Iterator[WrittenPart]:
    """Write documents with their embeddings into pairs of files, of at most `part_rows` rows each.

    The numbers in the names have as many digits as the last one, if there are `total` rows: others sort them by name.
    Iterate to the end, and call `finish` then. Raise EmbeddingFilesError if a file cannot be written.
    """
    digits = len(str(max(0, (total - 1) // part_rows)))
    source = iter(rows)
    number = 0
    while part := list(islice(source, part_rows)):
        name = f"{number:0{digits}}"
        documents = [document for document, _ in part]
        embeddings = np.array([embedding for _, embedding in part], np.float32 if float32 else np.float16)
        files = (folder / "img_emb" / f"img_emb_{name}.npy", folder / "metadata" / f"metadata_{name}.parquet")
        with write_errors(folder):
            with moved_when_whole(files[0]) as unfinished, unfinished.open("wb") as file:
                np.save(file, embeddings)
            with moved_when_whole(files[1]) as unfinished:
                paths = [_path(document.image_id, origin.corpus) for document in documents]
                write_documents(unfinished, documents, paths=paths)
            yield WrittenPart(rows=len(part), bytes=sum(file.stat().st_size for file in files))
        number += 1


def finish(folder: Path, origin: Origin, parts: list[WrittenPart]) -> None:
    """Note that all files are there."""
    text = {"export_id": origin.export_id, "files": len(parts), "rows": sum(part.rows for part in parts)}
    with write_errors(folder):
        write_whole(folder / SUCCESS, json.dumps(text, indent=1))


def _path(image_id: str, corpus: str | None) -> str:
    """Return the path of a photo, below the folder that was indexed if that is known."""
    return f"{corpus.rstrip('/')}/{image_id}" if corpus else image_id
