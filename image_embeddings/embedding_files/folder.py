"""A folder of Parquet files: each part is whole or absent, and `_SUCCESS` says that all of them are there.

While it is filled, `_export.json` says whose folder it is, so that only parts of ours are ever replaced. Spark and
other readers of Parquet ignore names that begin with an underscore.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from filelock import FileLock, Timeout

from image_embeddings.data_dir import make_data_dir
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.embedding_files.parquet import (
    Row,
    read_image_ids,
    read_origin,
    read_rows,
    require_pyarrow,
    write_part,
)
from image_embeddings.embedding_files.whole_files import UNFINISHED, moved_when_whole, write_errors, write_whole
from image_embeddings.errors import EmbeddingFilesError

SUCCESS = "_SUCCESS"
BEGUN = "_export.json"
ENCODING = "_encoding.json"  # instead, if the parts are being encoded, so that no export removes them
LOCK = "_lock"
PART_ROWS = 50_000


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
    def next_number(self) -> int:
        """The number of the next part."""
        return max((int(part.file.stem.partition("-")[2]) + 1 for part in self.parts), default=0)

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
        _check_is_ours(folder, BEGUN)
        for pattern in (*parts, f"**/*{UNFINISHED}"):
            for file in list(folder.glob(pattern)):
                file.unlink()
        write_whole(folder / BEGUN, origin.to_json())


def begin_or_continue(folder: Path, origin: Origin) -> Export:
    """Return the parts that an encoding run wrote that did not end, or none for a new run, which is then begun.

    Raise EmbeddingFilesError as `begin_export` does.
    """
    begun = folder / ENCODING
    with write_errors(folder):
        make_data_dir(folder)
        _check_is_ours(folder, ENCODING)
        if not begun.is_file():
            write_whole(begun, origin.to_json())
            return Export(folder=folder, origin=origin, parts=())
    try:
        before = Origin.from_json(begun.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EmbeddingFilesError(f"{begun} cannot be used: {error}. Name another folder.") from error
    for file in list(folder.glob(f"*{UNFINISHED}")):
        file.unlink()
    parts = _found_parts(sorted(folder.glob("part-*.parquet")), expected=before)
    return Export(folder=folder, origin=before, parts=parts)


def drop_rows(export: Export, image_ids: Collection[str]) -> None:
    """Write the parts that hold these photos again, without them. Raise EmbeddingFilesError if that fails."""
    for part in export.parts:
        if not set(image_ids).intersection(read_image_ids(part.file)):
            continue
        batches = read_rows(part.file, dims=export.origin.model.dims)
        rows = [row for batch in batches for row in batch if row[0].image_id not in image_ids]
        if not rows:
            part.file.unlink()
            continue
        whole = moved_when_whole(part.file)
        with write_errors(export.folder), whole as file, write_part(file, origin=export.origin) as writer:
            writer.add(rows)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make the folder, and hold the lock that keeps a second run out of it. Raise EmbeddingFilesError if one is in."""
    with write_errors(folder):
        make_data_dir(folder)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise EmbeddingFilesError(f"Another run writes into {folder} just now. Wait for it to end.") from None
    try:
        yield
    finally:
        lock.release()


def _check_is_ours(folder: Path, begun: str) -> None:
    """Return if the folder is empty, or has the file `begun` of an export that did not end."""
    names = sorted(path.name for path in folder.iterdir() if path.name != LOCK)
    if SUCCESS in names:
        raise EmbeddingFilesError(f"{folder} holds a finished export. Name another folder, or remove that one first.")
    if names and begun not in names:
        raise EmbeddingFilesError(
            f"{folder} is not empty: it holds '{names[0]}', which is not of such an export. Name a new or "
            "an empty folder."
        )


def write_parts(
    folder: Path, origin: Origin, rows: Iterable[Row], *, part_rows: int = PART_ROWS, first: int = 0
) -> Iterator[int]:
    """Write documents with their embeddings into parts of at most `part_rows` rows; yield how many were taken.

    The parts are numbered from `first`. Each is written under another name and then moved. Iterate to the end, and call
    `finish_export` then. Raise EmbeddingFilesError if a part cannot be written.
    """
    source = iter(rows)
    number = first
    while row := list(islice(source, 1)):
        whole = moved_when_whole(folder / part_name(number))
        with write_errors(folder), whole as file, write_part(file, origin=origin) as part:
            part.add(row)
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
    origin, _ = read_origin(files[0])
    return Export(folder=folder, origin=origin, parts=_found_parts(files, expected=origin))


def _found_parts(files: Sequence[Path], *, expected: Origin) -> tuple[Part, ...]:
    parts = []
    for file in files:
        origin, rows = read_origin(file)
        if origin.export_id != expected.export_id:
            raise EmbeddingFilesError(
                f"{file} is of another export than the others. Keep each export in a folder of its own, and copy this "
                "one again."
            )
        parts.append(Part(file=file, rows=rows))
    return tuple(parts)
