"""A folder of Parquet files: each part is whole or absent, and `_SUCCESS` says that all of them are there.

The folder is on this machine, or in a store on others. While it is filled, `_export.json` says whose folder it is, so
that only parts of ours are ever replaced. Spark and other readers of Parquet ignore names that begin with `_`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from image_embeddings.documents import FileState
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.embedding_files.parquet import (
    Row,
    read_image_ids,
    read_origin,
    read_rows,
    read_states,
    require_pyarrow,
    write_part,
)
from image_embeddings.errors import EmbeddingFilesError
from image_embeddings.file_stores.store import FileStore

SUCCESS = "_SUCCESS"
BEGUN = "_export.json"
ENCODING = "_encoding.json"  # instead, if the parts are being encoded, so that no export removes them
PARTS = "part-*.parquet"
PART_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of an export."""

    store: FileStore
    name: str
    rows: int
    bytes: int

    @property
    def path(self) -> str:
        """Where the file is, for messages."""
        return self.store.path_of(self.name)

    def read_rows(self, *, dims: int) -> Iterator[list[Row]]:
        """Yield documents and embeddings as `parquet.read_rows` does."""
        with self.store.local_copy(self.name) as file:
            yield from read_rows(file, dims=dims, name=self.path)

    def read_image_ids(self) -> list[str]:
        """Return the image_ids, in the order of the rows."""
        with self.store.open(self.name) as file:
            return read_image_ids(file, name=self.path)

    def read_states(self) -> dict[str, FileState]:
        """Return image_id -> state of the photo's file, for each row."""
        with self.store.open(self.name) as file:
            return read_states(file, name=self.path)


@dataclass(frozen=True, kw_only=True)
class Export:
    """A folder of files that belong together, none of them missing."""

    store: FileStore
    origin: Origin
    parts: tuple[Part, ...]  # by name

    @property
    def address(self) -> str:
        """Where the files are."""
        return self.store.address

    @property
    def next_number(self) -> int:
        """The number of the next part."""
        return max((_number_of(part.name) + 1 for part in self.parts), default=0)

    @property
    def rows(self) -> int:
        """The number of documents in all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """The size of all parts."""
        return sum(part.bytes for part in self.parts)


# Every function here raises EmbeddingFilesError for files that cannot be used, and StoreError as `FileStore` does.


def begin_export(store: FileStore, origin: Origin, *, parts: Sequence[str] = (PARTS,)) -> None:
    """Make the folder ready for a new export. Files of an earlier one that did not end are removed.

    `parts` are globs of its files. Raise EmbeddingFilesError if the folder holds something else.
    """
    require_pyarrow()
    names = _check_is_ours(store, BEGUN)
    store.remove_unfinished()
    for name in names:
        if any(fnmatchcase(name, pattern) for pattern in parts):
            store.remove(name)
    write_text(store, BEGUN, origin.to_json(), replace=True)


def begin_or_continue(store: FileStore, origin: Origin) -> Export:
    """Return the parts that an encoding run wrote that did not end, or none for a new run, which is then begun.

    Raise EmbeddingFilesError as `begin_export` does.
    """
    require_pyarrow()
    names = _check_is_ours(store, ENCODING)
    if ENCODING not in names:
        write_text(store, ENCODING, origin.to_json())
        return Export(store=store, origin=origin, parts=())
    try:
        before = Origin.from_json(store.read(ENCODING) or b"")
    except ValueError as error:
        begun = store.path_of(ENCODING)
        raise EmbeddingFilesError(f"{begun} cannot be used: {error}. Name another folder.") from error
    store.remove_unfinished()
    parts = _read_parts(store, _parts_among(names), expected=before)
    return Export(store=store, origin=before, parts=parts)


def drop_rows(export: Export, image_ids: Collection[str]) -> None:
    """Write the parts that hold these photos again, without them."""
    for part in export.parts:
        if not set(image_ids).intersection(part.read_image_ids()):
            continue
        batches = part.read_rows(dims=export.origin.model.dims)
        rows = [row for batch in batches for row in batch if row[0].image_id not in image_ids]
        if not rows:
            export.store.remove(part.name)
            continue
        whole = export.store.write_whole(part.name, replace=True)
        with whole as file, write_part(file, origin=export.origin) as writer:
            writer.add(rows)


def write_text(store: FileStore, name: str, text: str, *, replace: bool = False) -> None:
    """Write a text file that is whole or absent."""
    with store.write_whole(name, replace=replace) as file:
        file.write_text(text, encoding="utf-8")


def _check_is_ours(store: FileStore, begun: str) -> dict[str, int]:
    """Return the files that are there if the folder is empty, or has the file `begun` of an export that did not end."""
    names = store.list_files()
    if SUCCESS in names:
        raise EmbeddingFilesError(
            f"{store.address} holds a finished export. Name another folder, or remove that one first."
        )
    if names and begun not in names:
        raise EmbeddingFilesError(
            f"{store.address} is not empty: it holds '{min(names)}', which is not of such an export. Name a new or "
            "an empty folder."
        )
    return names


def write_parts(
    store: FileStore, origin: Origin, rows: Iterable[Row], *, part_rows: int = PART_ROWS, first: int = 0
) -> Iterator[int]:
    """Write documents with their embeddings into parts of at most `part_rows` rows; yield how many were taken.

    The parts are numbered from `first`. Iterate to the end, and call `finish_export` then.
    """
    source = iter(rows)
    number = first
    while row := list(islice(source, 1)):
        whole = store.write_whole(part_name(number))
        with whole as file, write_part(file, origin=origin) as part:
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


def _number_of(name: str) -> int:
    return int(name.removesuffix(".parquet").partition("-")[2])


def finish_export(store: FileStore) -> Export:
    """Note that all parts are there, and return them."""
    export = _read_export(store, _parts_among(store.list_files()))
    parts = {part.name: {"rows": part.rows, "bytes": part.bytes} for part in export.parts}
    write_text(store, SUCCESS, json.dumps({"export_id": export.origin.export_id, "parts": parts}, indent=1))
    return export


def open_export(store: FileStore) -> Export:
    """Return a finished export. An empty `_SUCCESS`, as Spark writes it, names no parts: then all that are there count.

    Raise EmbeddingFilesError if the folder is none, or did not end, or if a part is missing, damaged or of another
    export.
    """
    require_pyarrow()
    sizes = store.list_files()
    if not sizes:
        raise EmbeddingFilesError(f"There is no folder {store.address}, or it is empty. Name the folder of an export.")
    if SUCCESS not in sizes:
        raise EmbeddingFilesError(
            f"{store.address} has no file {SUCCESS}: the export did not end, or was copied in part. Copy the whole "
            "folder, or export again."
        )
    expected = _expected_parts(store)
    for name, size in expected.items():
        if name not in sizes:
            raise EmbeddingFilesError(
                f"{store.path_of(name)} is missing. Copy it again, or export the embeddings again."
            )
        if sizes[name] != size:
            raise EmbeddingFilesError(
                f"{store.path_of(name)} has {sizes[name]:,} bytes instead of {size:,}. Copy it again, or export the "
                "embeddings again."
            )
    return _read_export(store, expected or _parts_among(sizes))


def _expected_parts(store: FileStore) -> dict[str, int]:
    """Return name -> bytes of the parts that `_SUCCESS` names."""
    text = (store.read(SUCCESS) or b"").decode("utf-8", errors="replace")
    if not text.strip():
        return {}
    try:
        parts = json.loads(text)["parts"].items()
        return {name: int(part["bytes"]) for name, part in parts if "/" not in name}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        path = store.path_of(SUCCESS)
        raise EmbeddingFilesError(f"{path} is damaged. Copy it again, or export the embeddings again.") from error


def _read_export(store: FileStore, sizes: Mapping[str, int]) -> Export:
    """Return the parts of these names and sizes."""
    if not sizes:
        raise EmbeddingFilesError(f"{store.address} holds no {PARTS}. Name the folder of an export.")
    origin, _ = _read_origin(store, min(sizes))
    return Export(store=store, origin=origin, parts=_read_parts(store, sizes, expected=origin))


def _parts_among(sizes: Mapping[str, int]) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if fnmatchcase(name, PARTS) and "/" not in name}


def _read_parts(store: FileStore, sizes: Mapping[str, int], *, expected: Origin) -> tuple[Part, ...]:
    parts = []
    for name in sorted(sizes):
        origin, rows = _read_origin(store, name)
        if origin.export_id != expected.export_id:
            raise EmbeddingFilesError(
                f"{store.path_of(name)} is of another export than the others. Keep each export in a folder of its own, "
                "and copy this one again."
            )
        parts.append(Part(store=store, name=name, rows=rows, bytes=sizes[name]))
    return tuple(parts)


def _read_origin(store: FileStore, name: str) -> tuple[Origin, int]:
    with store.open(name) as file:
        return read_origin(file, name=store.path_of(name))
