"""Reads files in clip-retrieval's layout, by whatever program they were made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from image_embeddings.documents import Embedding, PhotoMetadata, is_content_hash
from image_embeddings.embedding_files.parquet import read_columns
from image_embeddings.errors import EmbeddingFilesError
from image_embeddings.file_stores.store import FileStore

_ARRAY = re.compile(r"img_emb/img_emb_(\d+)\.npy")
_COLUMNS = ("image_path", "content_hash", "caption", "label", "table_caption", "extra")  # only the first one is needed
_CHECKED_AT_ONCE = 10_000  # rows
_LEAST_LENGTH = 1e-3  # of an embedding that has a direction
_EXACT = 1e-5  # an embedding of float32 whose length differs from 1 by no more keeps its bits


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All rows of all files, one after the other. The arrays stay on the disk."""

    where: str
    dims: int
    paths: Sequence[str]
    content_hashes: Sequence[str]  # of the files that were encoded; empty if the table does not say it
    words: Sequence[PhotoMetadata | None]
    _arrays: tuple[Any, ...]
    _begins: Sequence[int]  # the number of the first row of each array

    def numbers(self, row: int) -> Any:
        """Return the numbers of a row as they are stored."""
        place = int(np.searchsorted(self._begins, row, side="right")) - 1
        return self._arrays[place][row - self._begins[place]]

    def embedding(self, row: int) -> Embedding:
        """Return the embedding of a row, float32, shape (dims,), of unit length."""
        numbers = self.numbers(row)
        embedding = np.asarray(numbers, np.float32)
        length = np.linalg.norm(embedding)
        is_exact = numbers.dtype == np.float32 and abs(length - 1) <= _EXACT
        return embedding if is_exact else np.asarray(embedding / length, np.float32)


@contextmanager
def open_rows(store: FileStore) -> Iterator[Rows]:
    """Give the block the rows of all pairs of files.

    Raises:
        EmbeddingFilesError: files are missing, damaged or do not fit each other, or an embedding has no direction.
    """
    pairs = _find_pairs(store)
    with ExitStack() as opened:
        arrays: list[Any] = []
        paths: list[str] = []
        hashes: list[str] = []
        words: list[PhotoMetadata | None] = []
        for array_name, table_name in pairs:
            array = _open_array(opened, store, array_name)
            table = _read_table(store, table_name)
            if len(array) != len(table["image_path"]) or array.shape[1] != (arrays or [array])[0].shape[1]:
                raise EmbeddingFilesError(
                    f"{store.path_of(array_name)} has the shape {array.shape}, which fits neither the "
                    f"{len(table['image_path']):,} rows of {table_name} nor the other arrays. Copy both files again."
                )
            _check_directions(array, table["image_path"], where=store.path_of(array_name))
            arrays.append(array)
            paths += table["image_path"]
            hashes += [value if is_content_hash(value) else "" for value in table["content_hash"]]
            words += _words(table)
        yield Rows(
            where=store.address,
            dims=arrays[0].shape[1],
            paths=paths,
            content_hashes=hashes,
            words=words,
            _arrays=tuple(arrays),
            _begins=[0, *np.cumsum([len(array) for array in arrays])[:-1]],
        )


def _find_pairs(store: FileStore) -> list[tuple[str, str]]:
    names = store.list_files()
    pairs = [(name, f"metadata/metadata_{match[1]}.parquet") for name in names if (match := _ARRAY.fullmatch(name))]
    if not pairs:
        raise EmbeddingFilesError(
            f"{store.address} holds no img_emb/img_emb_0.npy. Name the folder with the folders img_emb and metadata."
        )
    for array_name, table_name in pairs:
        if table_name not in names:
            raise EmbeddingFilesError(f"{store.path_of(table_name)} is missing, to which {array_name} belongs.")
    return pairs


def _open_array(opened: ExitStack, store: FileStore, name: str) -> Any:
    path = opened.enter_context(store.local_copy(name))
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise EmbeddingFilesError(
            f"{store.path_of(name)} is damaged, or no array of numbers. Copy it again."
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f":
        raise EmbeddingFilesError(f"{store.path_of(name)} holds no table of numbers with a row for each photo.")
    return array


def _read_table(store: FileStore, name: str) -> Mapping[str, list[Any]]:
    with store.open(name) as file:
        table = read_columns(file, _COLUMNS, name=store.path_of(name))
    if any(not isinstance(path, str) for path in table["image_path"]):
        raise EmbeddingFilesError(f"{store.path_of(name)} has rows without an image_path.")
    return table


def _check_directions(array: Any, paths: Sequence[str], *, where: str) -> None:
    for begin in range(0, len(array), _CHECKED_AT_ONCE):
        lengths = np.linalg.norm(np.asarray(array[begin : begin + _CHECKED_AT_ONCE], np.float32), axis=1)
        odd = np.flatnonzero(~(np.isfinite(lengths) & (lengths >= _LEAST_LENGTH)))
        if len(odd):
            row = begin + int(odd[0])
            raise EmbeddingFilesError(
                f"{where} has no embedding in row {row} ({paths[row]}): its numbers are zero or no numbers."
            )


def _words(table: Mapping[str, list[Any]]) -> list[PhotoMetadata | None]:
    """Return what each row says beside the photo: by our own export, or the caption of another program."""
    is_own = any(table["content_hash"])
    captions = table["table_caption"] if is_own else table["caption"]
    rows = zip(table["label"] if is_own else [None] * len(captions), captions, table["extra"], strict=True)
    return [_metadata(label, caption, extra if is_own else None) for label, caption, extra in rows]


def _metadata(label: Any, caption: Any, extra: Any) -> PhotoMetadata | None:
    said = PhotoMetadata(
        label=label if isinstance(label, str) else None,
        caption=caption if isinstance(caption, str) else None,
        extra=dict(extra) if isinstance(extra, list) else {},
    )
    return said if said != PhotoMetadata() else None
