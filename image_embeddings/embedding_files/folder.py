"""A folder of Parquet files: each part is whole or absent, and `_SUCCESS` says that all of them are there.

While it is filled, `_export.json` says whose folder it is, so that only parts of ours are ever replaced. Spark and
other readers of Parquet ignore names that begin with an underscore.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from image_embeddings.data_dir import make_data_dir
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.embedding_files.parquet import Row, read_origin, require_pyarrow, write_part
from image_embeddings.errors import EmbeddingFilesError

SUCCESS = "_SUCCESS"
BEGUN = "_export.json"
PART_ROWS = 50_000
UNFINISHED = ".unfinished"  # suffix of a file that is being written


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of an export."""

    file: Path
    rows: int


@dataclass(frozen=True, kw_only=True)
class Export:
    """A folder of files that belong together, none of them missing."""

    folder: Path
    origin: Origin
    parts: tuple[Part, ...]  # by name

    @property
    def rows(self) -> int:
        """The number of documents in all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """The size of all parts."""
        return sum(part.file.stat().st_size for part in self.parts)


def begin_export(folder: Path, origin: Origin, *, parts: Sequence[str] = ("part-*.parquet",)) -> None:
    """Make the folder ready for a new export. Files of an earlier one that did not end are removed.

    `parts` are globs of its files. Raise EmbeddingFilesError if the folder holds something else, or cannot be written.
    """
    require_pyarrow()
    with write_errors(folder):
        make_data_dir(folder)
        names = sorted(path.name for path in folder.iterdir())
        if SUCCESS in names and BEGUN in names:
            raise EmbeddingFilesError(
                f"{folder} holds a finished export. Name another folder, or remove that one first."
            )
        if names and BEGUN not in names:
            raise EmbeddingFilesError(
                f"{folder} is not empty: it holds '{names[0]}', which no export of this program has begun. Name a new "
                "or an empty folder."
            )
        for pattern in (*parts, f"**/*{UNFINISHED}"):
            for file in list(folder.glob(pattern)):
                file.unlink()
        write_whole(folder / BEGUN, origin.to_json())


def write_parts(folder: Path, origin: Origin, rows: Iterable[Row], *, part_rows: int = PART_ROWS) -> Iterator[int]:
    """Write documents with their embeddings into parts of at most `part_rows` rows; yield how many were taken.

    Each part is written under another name and then moved. Iterate to the end, and call `finish_export` then. Raise
    EmbeddingFilesError if a part cannot be written.
    """
    source = iter(rows)
    number = 0
    while first := list(islice(source, 1)):
        whole = moved_when_whole(folder / part_name(number))
        with write_errors(folder), whole as file, write_part(file, origin=origin) as part:
            part.add(first)
            yield 1
            left = part_rows - 1
            while left and (some := list(islice(source, min(left, 1_000)))):
                part.add(some)
                left -= len(some)
                yield len(some)
        number += 1


def part_name(number: int) -> str:
    """Return the name of a part."""
    return f"part-{number:05}.parquet"


def finish_export(folder: Path) -> Export:
    """Note that all parts are there, and return them."""
    export = _found_export(folder)
    parts = {part.file.name: {"rows": part.rows, "bytes": part.file.stat().st_size} for part in export.parts}
    with write_errors(folder):
        write_whole(folder / SUCCESS, json.dumps({"export_id": export.origin.export_id, "parts": parts}, indent=1))
    return export


def open_export(folder: Path) -> Export:
    """Return a finished export. An empty `_SUCCESS`, as Spark writes it, names no parts: then all that are there count.

    Raise EmbeddingFilesError if the folder is none, or did not end, or if a part is missing, damaged or of another
    export.
    """
    require_pyarrow()
    if not folder.is_dir():
        raise EmbeddingFilesError(f"There is no folder {folder}. Name the folder of an export.")
    if not (folder / SUCCESS).is_file():
        raise EmbeddingFilesError(
            f"{folder} has no file {SUCCESS}: the export did not end, or was copied in part. Copy the whole folder, or "
            "export again."
        )
    expected = _expected_parts(folder / SUCCESS)
    for name, size in expected.items():
        file = folder / name
        if not file.is_file():
            raise EmbeddingFilesError(f"{file} is missing. Copy it again, or export the embeddings again.")
        if file.stat().st_size != size:
            raise EmbeddingFilesError(
                f"{file} has {file.stat().st_size:,} bytes instead of {size:,}. Copy it again, or export the "
                "embeddings again."
            )
    return _found_export(folder, names=sorted(expected))


def _expected_parts(file: Path) -> dict[str, int]:
    """Return name -> bytes of the parts that `_SUCCESS` names."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if not text.strip():
        return {}
    try:
        return {name: int(part["bytes"]) for name, part in json.loads(text)["parts"].items() if Path(name).name == name}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EmbeddingFilesError(f"{file} is damaged. Copy it again, or export the embeddings again.") from error


def _found_export(folder: Path, *, names: Sequence[str] = ()) -> Export:
    """Return the parts of these names, or all that are there."""
    files = [folder / name for name in names] or sorted(folder.glob("part-*.parquet"))
    if not files:
        raise EmbeddingFilesError(f"{folder} holds no part-*.parquet. Name the folder of an export.")
    found: Mapping[Path, tuple[Origin, int]] = {file: read_origin(file) for file in files}
    origin = found[files[0]][0]
    for file, (other, _) in found.items():
        if other.export_id != origin.export_id:
            raise EmbeddingFilesError(
                f"{file} is of another export than {files[0].name}. Keep each export in a folder of its own, and copy "
                "this one again."
            )
    return Export(
        folder=folder, origin=origin, parts=tuple(Part(file=file, rows=rows) for file, (_, rows) in found.items())
    )


@contextmanager
def moved_when_whole(file: Path) -> Iterator[Path]:
    """Give the context a file to write, and move it to `file` at the end. After an error nothing is left of it."""
    unfinished = file.with_name(f"{file.name}{UNFINISHED}")
    try:
        yield unfinished
        with unfinished.open("rb+") as written:
            os.fsync(written.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(file: Path, text: str) -> None:
    """Write a text file that is whole or absent."""
    with moved_when_whole(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Raise EmbeddingFilesError for an error of the operating system."""
    try:
        yield
    except OSError as error:
        raise EmbeddingFilesError(
            f"The files of embeddings cannot be written to {folder} ({error.strerror or error}). Name a folder that "
            "this user may write to, on a disk with room. What is there is no whole export."
        ) from error
