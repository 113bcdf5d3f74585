"""Folders of parts: whole or absent, and never mixed up with files of others."""

import dataclasses

import pytest

from image_embeddings.embedding_files.folder import (
    BEGUN,
    SUCCESS,
    begin_export,
    begin_or_continue,
    drop_rows,
    finish_export,
    open_export,
    write_parts,
)
from image_embeddings.errors import EmbeddingFilesError, StoreError
from image_embeddings.file_stores.folder import FolderStore
from image_embeddings.file_stores.s3 import S3Store
from tests.embedding_files.documents import DIMS, ORIGIN, as_bytes, make_rows


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    """A place for files: an empty folder, or a bucket."""
    return FolderStore(tmp_path / "out") if request.param == "folder" else request.getfixturevalue("s3_store")


@pytest.fixture
def s3_store(bucket, s3_server):
    return S3Store(f"s3://{bucket[0]}/out", endpoint=s3_server)


def export(store, rows, *, part_rows=10, origin=ORIGIN):
    with store.hold():
        begin_export(store, origin)
        assert sum(write_parts(store, origin, rows, part_rows=part_rows)) == len(rows)
        return finish_export(store)


def names(store):
    return list(store.list_files())


def put(store, name, data):
    with store.write_whole(name, replace=True) as file:
        file.write_bytes(data)


def rows_of(export):
    return [row for part in export.parts for batch in part.read_rows(dims=DIMS) for row in batch]


@pytest.mark.parametrize("number", [1, 10, 25])
def test_parts_hold_all_rows_in_order(store, number):
    rows = make_rows(number)
    export(store, rows)
    opened = open_export(store)
    assert [part.rows for part in opened.parts] == [10] * (number // 10) + ([number % 10] if number % 10 else [])
    assert as_bytes(rows_of(opened)) == as_bytes(rows)
    assert [image_id for part in opened.parts for image_id in part.read_image_ids()] == [
        row[0].image_id for row in rows
    ]
    assert (opened.origin, opened.rows) == (ORIGIN, number)


def test_the_files_in_a_bucket_are_those_in_a_folder_bit_by_bit(tmp_path, s3_store):
    folder, rows = FolderStore(tmp_path / "out"), make_rows(25)
    for store in (folder, s3_store):
        export(store, rows)
    assert folder.list_files() == s3_store.list_files()
    assert {name: folder.read(name) for name in names(folder)} == {name: s3_store.read(name) for name in names(folder)}


def test_a_part_that_is_being_written_is_not_seen_and_the_next_export_removes_it(tmp_path):
    store = FolderStore(tmp_path)
    begin_export(store, ORIGIN)
    written = write_parts(store, ORIGIN, make_rows(25), part_rows=10)
    while names(store)[-1] != "part-00001.parquet.unfinished":
        next(written)
    assert names(store) == [BEGUN, "part-00000.parquet", "part-00001.parquet.unfinished"]
    put(store, "part-00007.parquet", b"of a killed run")
    with pytest.raises(EmbeddingFilesError, match=f"no file {SUCCESS}: the export did not end"):
        open_export(store)
    export(store, make_rows(5), origin=dataclasses.replace(ORIGIN, export_id="two"))
    assert names(store) == [SUCCESS, BEGUN, "part-00000.parquet"]


def test_after_an_error_nothing_is_left_of_the_part(store):
    def failing():
        yield from make_rows(12)
        raise EmbeddingFilesError("the source failed")

    with store.hold():
        begin_export(store, ORIGIN)
        with pytest.raises(EmbeddingFilesError, match="the source failed"):
            list(write_parts(store, ORIGIN, failing(), part_rows=10))
    assert names(store) == [BEGUN, "part-00000.parquet"]


def test_a_finished_export_is_not_replaced(store):
    export(store, make_rows(3))
    with pytest.raises(EmbeddingFilesError, match="holds a finished export"):
        begin_export(store, ORIGIN)
    assert open_export(store).rows == 3


def test_a_folder_of_others_is_left_alone(store):
    with store.hold():
        put(store, "part-00000.parquet", b"somebody's")
    with pytest.raises(EmbeddingFilesError, match=r"it holds 'part-00000\.parquet', which is not of such an export"):
        begin_export(store, ORIGIN)
    assert store.read("part-00000.parquet") == b"somebody's"


def test_a_missing_part_is_named(store):
    export(store, make_rows(25))
    store.remove("part-00001.parquet")
    with pytest.raises(EmbeddingFilesError, match=r"part-00001\.parquet is missing"):
        open_export(store)


def test_a_part_that_was_copied_in_part_is_named(store):
    export(store, make_rows(25))
    put(store, "part-00001.parquet", store.read("part-00001.parquet")[:-1])
    with pytest.raises(EmbeddingFilesError, match=r"part-00001\.parquet has .* bytes instead of"):
        open_export(store)


def test_a_damaged_part_is_named_by_its_address(store):
    export(store, make_rows(2_000), part_rows=2_000)
    data = bytearray(store.read("part-00000.parquet"))
    data[len(data) // 2] ^= 0xFF
    put(store, "part-00000.parquet", data)
    with pytest.raises(EmbeddingFilesError) as caught:
        rows_of(open_export(store))
    assert str(caught.value).startswith(f"{store.address}/part-00000.parquet is damaged: ")


def test_a_part_of_another_export_is_named(tmp_path):
    one, two = FolderStore(tmp_path / "one"), FolderStore(tmp_path / "two")
    export(one, make_rows(12))
    export(two, make_rows(12), origin=dataclasses.replace(ORIGIN, export_id="two"))
    (tmp_path / "two" / "part-00001.parquet").replace(tmp_path / "one" / "part-00001.parquet")
    with pytest.raises(EmbeddingFilesError, match=r"part-00001\.parquet is of another export"):
        open_export(one)


def test_a_folder_that_spark_ended_counts_the_parts_that_are_there(store):
    export(store, make_rows(25))
    put(store, SUCCESS, b"")
    assert open_export(store).rows == 25


@pytest.mark.parametrize("text", ["x", "[]", '{"parts": {"a": 1}}'])
def test_a_damaged_list_of_parts_is_reported(tmp_path, text):
    store = FolderStore(tmp_path)
    export(store, make_rows(2))
    put(store, SUCCESS, text.encode())
    with pytest.raises(EmbeddingFilesError, match=f"{SUCCESS} is damaged"):
        open_export(store)


def test_a_folder_that_is_not_there_is_reported(store):
    with pytest.raises(EmbeddingFilesError, match="There is no folder"):
        open_export(store)


# Folders that are filled by several runs


def test_an_encoding_run_goes_on_after_the_last_whole_part(store):
    rows = make_rows(25)
    with store.hold():
        first = begin_or_continue(store, ORIGIN)
        assert (first.parts, first.next_number) == ((), 0)
        list(write_parts(store, ORIGIN, rows[:12], part_rows=6))
    if isinstance(store, FolderStore):
        put(store, "part-00002.parquet.unfinished", b"of a killed run")
    with store.hold():
        again = begin_or_continue(store, dataclasses.replace(ORIGIN, export_id="two"))
        assert (again.origin, again.rows, again.next_number) == (ORIGIN, 12, 2)
        list(write_parts(store, again.origin, rows[12:], part_rows=6, first=again.next_number))
        finish_export(store)
    assert open_export(store).rows == 25


def test_rows_are_dropped_from_the_parts_that_hold_them(store):
    rows = make_rows(25)
    export(store, rows)
    untouched = store.read("part-00002.parquet")
    drop_rows(open_export(store), {"3.jpg", *(f"{number}.jpg" for number in range(10, 20))})
    store.remove(SUCCESS)
    left = finish_export(store)
    assert [part.name for part in left.parts] == ["part-00000.parquet", "part-00002.parquet"]
    assert as_bytes(rows_of(left)) == as_bytes([*rows[:3], *rows[4:10], *rows[20:]])
    assert store.read("part-00002.parquet") == untouched


def test_an_export_does_not_remove_what_an_encoding_run_has_written(store):
    with store.hold():
        begin_or_continue(store, ORIGIN)
        list(write_parts(store, ORIGIN, make_rows(3)))
        with pytest.raises(EmbeddingFilesError, match="is not empty"):
            begin_export(store, ORIGIN)
        assert begin_or_continue(store, ORIGIN).rows == 3


def test_of_two_runs_that_write_into_a_bucket_only_one_goes_on_and_nothing_is_lost(s3_store, s3_server):
    other = S3Store(s3_store.address, endpoint=s3_server)
    begin_or_continue(s3_store, ORIGIN)
    begun = begin_or_continue(other, dataclasses.replace(ORIGIN, export_id="two"))
    assert begun.origin == ORIGIN
    rows = make_rows(25)
    one = write_parts(s3_store, ORIGIN, rows, part_rows=10)
    while "part-00000.parquet" not in names(s3_store):
        next(one)
    with pytest.raises(StoreError, match=r"Another run has written .*part-00000\.parquet"):
        list(write_parts(other, begun.origin, make_rows(5), first=begun.next_number))
    list(one)
    assert as_bytes(rows_of(finish_export(s3_store))) == as_bytes(rows)
