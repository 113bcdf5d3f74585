"""Parquet files of documents and their embeddings. This module alone uses pyarrow.

The columns are the fields of ImageDocument, each with the type that its annotation says, and `embedding`: a list of
float32 of fixed size. docs/parquet.md describes the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from image_embeddings.documents import Embedding, Embeddings, FileState, ImageDocument, is_content_hash, is_image_id
from image_embeddings.embedding_files.columns import HINTS, READ, STORED
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.errors import EmbeddingFilesError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

EMBEDDING = "embedding"
ORIGIN_KEY = b"image_search"  # of the file's metadata
GROUP_ROWS = 5_000  # rows of a row group, which is held in memory; 10 MB at 512 dims
BATCH_ROWS = 500  # rows that are read at a time
UNIT_TOLERANCE = 1e-3  # by so much may the length of an embedding differ from 1; Elasticsearch has the same bound

Row = tuple[ImageDocument, Embedding]


def require_pyarrow() -> None:
    """Return if pyarrow is installed. Else raise EmbeddingFilesError, with the remedy."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise EmbeddingFilesError(
            "Parquet files need the package pyarrow, which is not installed. In a clone: .venv"
            "/bin/python -m pip install -r requirements-parquet.txt. Elsewhere: pip install 'image-search[parquet]'."
        ) from error


@contextmanager
def write_part(file: Path, *, origin: Origin) -> Iterator[PartWriter]:
    """Give the context a writer of one file. The file is whole only after the end of the context."""
    require_pyarrow()
    part = PartWriter(file, origin=origin)
    try:
        yield part
        part.write_waiting()
    finally:
        part.close()


class PartWriter:
    """Writes one file, row group by row group."""

    def __init__(self, file: Path, *, origin: Origin) -> None:
        import pyarrow.parquet as pq

        self._schema = _schema(origin)
        self._waiting: list[Row] = []
        # Hardly any number is repeated in embeddings, so they get no dictionary. The four bytes of each number are kept
        # apart: those of sign and exponent are alike, and zstd makes them small.
        self._writer = pq.ParquetWriter(
            file,
            self._schema,
            compression="zstd",
            use_dictionary=_paths(self._schema, but=EMBEDDING),
            use_byte_stream_split=_paths(self._schema.empty_table().select([EMBEDDING]).schema),
            write_statistics=["image_id"],
            write_page_checksum=True,
        )

    def add(self, rows: Sequence[Row]) -> None:
        """Write documents with their embeddings, each of shape (dims,)."""
        self._waiting += rows
        if len(self._waiting) >= GROUP_ROWS:
            self.write_waiting()

    def close(self) -> None:
        """End the file."""
        self._writer.close()

    def write_waiting(self) -> None:
        """Write what was added, as one row group."""
        import pyarrow as pa

        if not self._waiting:
            return
        columns = _columns_of([document for document, _ in self._waiting])
        numbers = pa.array(np.concatenate([embedding for _, embedding in self._waiting]).astype(np.float32))
        columns[EMBEDDING] = pa.FixedSizeListArray.from_arrays(numbers, type=self._schema.field(EMBEDDING).type)
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._waiting = []


def write_documents(file: Path, documents: Sequence[ImageDocument], *, paths: Sequence[str]) -> None:
    """Write documents without their embeddings, with a further column `image_path`."""
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"image_path": pa.array(paths, pa.string()), **_columns_of(documents)})
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def read_origin(file: Path | BinaryIO, *, name: str = "") -> tuple[Origin, int]:
    """Return where the embeddings of a file come from, and the number of its rows.

    Here and below, `name` stands for the file in messages; by default its path does.

    Raise EmbeddingFilesError if the file is damaged, or was not written by this program.
    """
    require_pyarrow()
    import pyarrow.parquet as pq

    name = name or str(file)
    with _errors(name):
        found = pq.read_metadata(file)
    text = (found.metadata or {}).get(ORIGIN_KEY)
    try:
        return Origin.from_json(text or b""), found.num_rows
    except ValueError as error:
        raise EmbeddingFilesError(f"{name} cannot be used: {error}.") from error


def read_image_ids(file: Path | BinaryIO, *, name: str = "") -> list[str]:
    """Return the image_ids of a file, in its order. Raise EmbeddingFilesError as `read_rows` does."""
    require_pyarrow()
    import pyarrow.parquet as pq

    with _errors(name or str(file)):
        ids: list[str] = pq.read_table(file, columns=["image_id"], page_checksum_verification=True)[0].to_pylist()
    return ids


def read_states(file: Path | BinaryIO, *, name: str = "") -> dict[str, FileState]:
    """Return image_id -> state of the photo's file, for each row. Raise EmbeddingFilesError as `read_rows` does."""
    require_pyarrow()
    import pyarrow.parquet as pq

    columns = {"image_id", *FileState.__dataclass_fields__}
    name = name or str(file)
    with _errors(name), pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        _check_columns(parquet.schema_arrow, name)
        rows = parquet.read([column for column in parquet.schema_arrow.names if column in columns]).to_pylist()
    return {row.pop("image_id"): FileState(**row) for row in rows}


def read_columns(file: Path | BinaryIO, columns: Sequence[str], *, name: str = "") -> dict[str, list[Any]]:
    """Return these columns of a table of any program; one that it lacks is of None. It has to have the first one."""
    require_pyarrow()
    import pyarrow.parquet as pq

    name = name or str(file)
    with _errors(name), pq.ParquetFile(file) as parquet:
        found = [column for column in columns if column in parquet.schema_arrow.names]
        table = parquet.read(found)
    if columns[0] not in found:
        raise _unsound(name, f"it has no column {columns[0]}")
    return {column: table[column].to_pylist() if column in found else [None] * len(table) for column in columns}


def read_rows(file: Path | BinaryIO, *, dims: int, name: str = "") -> Iterator[list[Row]]:
    """Yield the documents of a file with their embeddings, shape (dims,), in its order, BATCH_ROWS at a time.

    Raise EmbeddingFilesError if the file is damaged, or holds what this program does not write.
    """
    require_pyarrow()
    import pyarrow.parquet as pq

    name = name or str(file)
    with _errors(name), pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        known = [column for column in parquet.schema_arrow.names if column in HINTS]
        _check_columns(parquet.schema_arrow, name)
        for batch in parquet.iter_batches(BATCH_ROWS, columns=[*known, EMBEDDING]):
            documents = [_document_of(row, name) for row in batch.select(known).to_pylist()]
            yield list(zip(documents, _embeddings_of(batch.column(EMBEDDING), dims=dims, file=name), strict=True))


def _document_of(row: Mapping[str, Any], file: str) -> ImageDocument:
    values = {name: READ[HINTS[name]](value) for name, value in row.items() if value is not None}
    try:
        document = ImageDocument(**values)
    except TypeError as error:
        raise _unsound(file, f"a row of '{row.get('image_id')}' lacks a value") from error
    if not is_image_id(document.image_id) or min(document.width, document.height) < 1:
        raise _unsound(file, f"'{document.image_id}' is no photo")
    if document.content_hash and not is_content_hash(document.content_hash):
        raise _unsound(file, f"'{document.image_id}' has a content_hash that is none")
    return document


def _embeddings_of(column: pa.Array, *, dims: int, file: str) -> Embeddings:
    numbers = column.flatten()
    if numbers.null_count or len(numbers) != len(column) * dims or str(numbers.type) != "float":
        raise _unsound(file, f"an embedding does not have {dims} numbers of type float32")
    embeddings = numbers.to_numpy(zero_copy_only=False).reshape(len(column), dims)
    lengths = np.linalg.norm(embeddings, axis=1)
    if not (np.abs(lengths - 1) <= UNIT_TOLERANCE).all():  # also if one is not a number
        raise _unsound(file, "an embedding is not of unit length")
    return np.asarray(embeddings, np.float32)


def _check_columns(schema: pa.Schema, file: str) -> None:
    missing = {"image_id", "width", "height", "bytes", "mtime_ns", "content_hash", EMBEDDING}.difference(schema.names)
    if missing:
        raise _unsound(file, f"it has no column {min(missing)}")
    for name, hint in HINTS.items():
        if name in schema.names and not _is_readable(schema.field(name).type, _types()[hint]):
            raise _unsound(file, f"the column {name} is of type {schema.field(name).type}")


def _is_readable(found: pa.DataType, expected: pa.DataType) -> bool:
    """Return whether values of a type are those that we write; another program may have named the parts otherwise."""
    return bool(found == expected or (found.id == expected.id and found.num_fields > 0))


def _unsound(file: str, reason: str) -> EmbeddingFilesError:
    return EmbeddingFilesError(f"{file} is damaged: {reason}. Copy it again, or export the embeddings again.")


@contextmanager
def _errors(file: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as error:
        raise EmbeddingFilesError(f"{file} is missing. Copy it again, or export the embeddings again.") from error
    except (pa.ArrowException, OSError) as error:
        raise _unsound(file, first_line(error)) from error


# Columns


def _types() -> dict[Any, pa.DataType]:
    import pyarrow as pa

    return {
        str: pa.string(),
        int: pa.int64(),
        str | None: pa.string(),
        int | None: pa.int64(),
        float | None: pa.float64(),
        tuple[str, ...]: pa.list_(pa.string()),
        Mapping[str, str]: pa.map_(pa.string(), pa.string()),
        tuple[float, float] | None: pa.struct([("lat", pa.float64()), ("lon", pa.float64())]),
    }


def _columns_of(documents: Sequence[ImageDocument]) -> dict[str, pa.Array]:
    import pyarrow as pa

    types = _types()
    return {
        name: pa.array([STORED[hint](getattr(document, name)) for document in documents], types[hint])
        for name, hint in HINTS.items()
    }


def _schema(origin: Origin) -> pa.Schema:
    import pyarrow as pa

    types = _types()
    columns = [pa.field(name, types[hint], nullable=type(None) in _members(hint)) for name, hint in HINTS.items()]
    embedding = pa.list_(pa.field("element", pa.float32(), nullable=False), origin.model.dims)
    columns.append(pa.field(EMBEDDING, embedding, nullable=False))
    return pa.schema(columns, metadata={ORIGIN_KEY: origin.to_json().encode()})


def _members(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__args__", ())


def _paths(schema: pa.Schema, *, but: str = "") -> list[str]:
    """Return the paths of the columns as Parquet stores them. A list, a map or a place has others than its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    stored = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    paths = [stored.column(number).path for number in range(len(stored))]
    return [path for path in paths if path.split(".")[0] != but]
