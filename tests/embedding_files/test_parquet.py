"""Parquet files of embeddings, read by themselves and by pyarrow alone."""

import dataclasses
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from image_embeddings.documents import FORMAT, ImageDocument
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.embedding_files.parquet import read_image_ids, read_origin, read_rows, read_states, write_part
from image_embeddings.errors import EmbeddingFilesError
from tests.embedding_files.documents import DIMS, FULL, MODEL, ORIGIN, as_bytes, make_rows


@pytest.fixture
def file(tmp_path):
    return tmp_path / "part-00000.parquet"


def write(file, rows, origin=ORIGIN):
    with write_part(file, origin=origin) as part:
        for begin in range(0, len(rows), 700):
            part.add(rows[begin : begin + 700])
    return file


def read(file, dims=DIMS):
    return [row for batch in read_rows(file, dims=dims) for row in batch]


def rewrite(file, change):
    """Write the table of a file again as `change` makes it."""
    pq.write_table(change(pq.read_table(file)), file)


def test_what_is_written_is_read_field_by_field_and_bit_by_bit(file):
    rows = make_rows(6_001)  # more than a row group
    write(file, rows)
    assert as_bytes(read(file)) == as_bytes(rows)
    assert read_origin(file) == (ORIGIN, 6_001)
    assert read_image_ids(file) == [document.image_id for document, _ in rows]


def test_every_field_of_a_document_is_tested_with_a_value_of_its_own():
    defaults = {field.name: field.default for field in dataclasses.fields(ImageDocument)}
    assert [name for name, default in defaults.items() if getattr(FULL, name) == default] == []


def test_another_program_reads_columns_and_metadata(file):
    rows = make_rows(3)
    table = pq.read_table(write(file, rows))
    assert table.schema.field("embedding").type.list_size == DIMS
    assert table["embedding"].combine_chunks().flatten().to_numpy().tobytes() == b"".join(e for _, e in as_bytes(rows))
    assert table["location"].to_pylist() == [{"lat": 48.858370123456, "lon": -2.2944813}, None, None]
    assert table["keywords"].to_pylist() == [["b", "a", "日本"], [], []]
    assert table["mtime_ns"].to_pylist() == [2**60 + 1, 6, 6]
    said = json.loads(table.schema.metadata[b"image_search"])
    assert said["model"] == {
        "model_id": "colour",
        "dims": DIMS,
        "preprocessing": "rgb-1+colour-1",
        "normalized": True,
        "probe": [0.1, -0.25, 0.3333],
    }
    assert (said["corpus"], said["format"], said["program"]) == ("/photos", FORMAT, "0.1")


def test_embeddings_are_compressed_by_bytes_and_checked_by_sums(file):
    group = pq.read_metadata(write(file, make_rows(2_000))).row_group(0)
    (column,) = [group.column(n) for n in range(group.num_columns) if "embedding" in group.column(n).path_in_schema]
    assert (column.compression, column.has_dictionary_page) == ("ZSTD", False)
    assert "BYTE_STREAM_SPLIT" in column.encodings
    assert column.total_compressed_size < 0.95 * 2_000 * DIMS * 4  # random numbers; 0.90 was seen


def test_a_file_of_lists_as_spark_writes_them_is_read(file):
    rows = make_rows(3)

    def of_any_size(table):
        place = table.schema.get_field_index("embedding")
        lists = table["embedding"].cast(pa.list_(pa.float32()))
        return table.set_column(place, "embedding", lists).replace_schema_metadata(table.schema.metadata)

    rewrite(write(file, rows), of_any_size)
    assert as_bytes(read(file)) == as_bytes(rows)


def test_a_column_that_an_older_version_did_not_have_gets_its_default(file):
    rewrite(write(file, make_rows(2)), lambda table: table.drop_columns(["inode", "persons"]))
    (document, _), _ = read(file)
    assert document == dataclasses.replace(FULL, inode=0, persons=())


def test_the_states_of_files_are_read_also_if_an_older_version_did_not_store_all_of_them(file):
    write(file, make_rows(2))
    states = read_states(file)
    assert states.keys() == {FULL.image_id, "1.jpg"}
    for name, value in dataclasses.asdict(states[FULL.image_id]).items():
        assert value == getattr(FULL, name), name
    rewrite(file, lambda table: table.drop_columns(["etag", "inode"]))
    assert read_states(file)[FULL.image_id] == dataclasses.replace(states[FULL.image_id], etag=None, inode=0)


def test_a_damaged_file_is_refused_with_its_name(file):
    data = bytearray(write(file, make_rows(2_000)).read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(EmbeddingFilesError, match=r"part-00000\.parquet is damaged: .*Copy it again"):
        read(file)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000], ids=["empty", "short", "other"])
def test_a_file_that_is_no_parquet_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(EmbeddingFilesError, match="is damaged"):
        read_origin(file)


def with_embeddings(numbers):
    def change(table):
        place = table.schema.get_field_index("embedding")
        return table.set_column(place, "embedding", pa.array(numbers))

    return change


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ([[0.5] * 4], "does not have 24 numbers of type float32"),
        ([[None] * DIMS], "does not have 24 numbers"),
        (pa.array([[1.0] + [0.0] * (DIMS - 1)], pa.list_(pa.float64())), "type float32"),
        (pa.array([[2.0] + [0.0] * (DIMS - 1)], pa.list_(pa.float32())), "not of unit length"),
        (pa.array([[np.nan] * DIMS], pa.list_(pa.float32())), "not of unit length"),
    ],
)
def test_embeddings_that_cannot_be_right_are_refused(file, numbers, reason):
    rewrite(write(file, make_rows(1)), with_embeddings(numbers))
    with pytest.raises(EmbeddingFilesError, match=reason):
        read(file)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("image_id", "../../etc/passwd", "is no photo"),
        ("content_hash", "../x", "content_hash"),
        ("width", 0, "is no photo"),
        ("mtime_ns", None, "lacks a value"),
        ("bytes", "many", "the column bytes is of type string"),
    ],
)
def test_documents_that_cannot_be_right_are_refused(file, column, value, reason):
    def change(table):
        place = table.schema.get_field_index(column)
        values = pa.array([value], None if isinstance(value, str) else pa.int64())
        return table.set_column(place, column, values)

    rewrite(write(file, make_rows(1)), change)
    with pytest.raises(EmbeddingFilesError, match=reason):
        read(file)


def test_a_file_without_a_needed_column_is_refused(file):
    rewrite(write(file, make_rows(1)), lambda table: table.drop_columns(["content_hash"]))
    with pytest.raises(EmbeddingFilesError, match="no column content_hash"):
        read(file)


def test_a_file_of_a_newer_version_is_refused(file):
    write(file, make_rows(1), dataclasses.replace(ORIGIN, format=FORMAT + 1, program="9.0"))
    with pytest.raises(EmbeddingFilesError, match=r"a newer version of this program \(9\.0\) wrote it"):
        read_origin(file)


@pytest.mark.parametrize("text", [None, "x", "[]", "{}", '{"version": 1}'])
def test_a_file_of_another_program_is_refused(file, text):
    pq.write_table(pa.table({"image_id": ["a"]}, metadata={"image_search": text} if text else None), file)
    with pytest.raises(EmbeddingFilesError, match="was not written by this program"):
        read_origin(file)


def test_a_model_that_is_a_path_is_refused():
    origin = dataclasses.replace(ORIGIN, model=dataclasses.replace(MODEL, model_id="../evil/x"))
    with pytest.raises(ValueError, match="not written by this program"):
        Origin.from_json(origin.to_json())


def test_without_pyarrow_the_error_names_the_remedy(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(EmbeddingFilesError, match=r"pip install 'image-search\[parquet\]'"):
        read_origin(file)
