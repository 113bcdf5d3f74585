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
    lock_folder,
    open_export,
    write_parts,
)
from image_embeddings.embedding_files.parquet import read_rows
from image_embeddings.errors import EmbeddingFilesError
from tests.embedding_files.documents import DIMS, ORIGIN, as_bytes, make_rows


def export(folder, rows, *, part_rows=10, origin=ORIGIN):
    begin_export(folder, origin)
    assert sum(write_parts(folder, origin, rows, part_rows=part_rows)) == len(rows)
    return finish_export(folder)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [1, 10, 25])
def test_parts_hold_all_rows_in_order(tmp_path, number):
    rows = make_rows(number)
    export(tmp_path / "out", rows)
    opened = open_export(tmp_path / "out")
    assert [part.rows for part in opened.parts] == [10] * (number // 10) + ([number % 10] if number % 10 else [])
    found = [row for part in opened.parts for batch in read_rows(part.file, dims=DIMS) for row in batch]
    assert as_bytes(found) == as_bytes(rows)
    assert (opened.origin, opened.rows) == (ORIGIN, number)


def test_a_part_that_is_being_written_is_not_seen_and_the_next_export_removes_it(tmp_path):
    begin_export(tmp_path, ORIGIN)
    written = write_parts(tmp_path, ORIGIN, make_rows(25), part_rows=10)
    while names(tmp_path)[-1] != "part-00001.parquet.unfinished":
        next(written)
    assert names(tmp_path) == [BEGUN, "part-00000.parquet", "part-00001.parquet.unfinished"]
    (tmp_path / "part-00007.parquet").write_bytes(b"of a killed run")
    with pytest.raises(EmbeddingFilesError, match=f"no file {SUCCESS}: the export did not end"):
        open_export(tmp_path)
    export(tmp_path, make_rows(5), origin=dataclasses.replace(ORIGIN, export_id="two"))
    assert names(tmp_path) == [SUCCESS, BEGUN, "part-00000.parquet"]


def test_after_an_error_nothing_is_left_of_the_part(tmp_path):
    def failing():
        yield from make_rows(12)
        raise EmbeddingFilesError("the source failed")

    begin_export(tmp_path, ORIGIN)
    with pytest.raises(EmbeddingFilesError, match="the source failed"):
        list(write_parts(tmp_path, ORIGIN, failing(), part_rows=10))
    assert names(tmp_path) == [BEGUN, "part-00000.parquet"]


def test_a_finished_export_is_not_replaced(tmp_path):
    export(tmp_path, make_rows(3))
    with pytest.raises(EmbeddingFilesError, match="holds a finished export"):
        begin_export(tmp_path, ORIGIN)
    assert open_export(tmp_path).rows == 3


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "part-00000.parquet").write_bytes(b"somebody's")
    with pytest.raises(EmbeddingFilesError, match=r"it holds 'part-00000\.parquet', which is not of such an export"):
        begin_export(tmp_path, ORIGIN)
    assert (tmp_path / "part-00000.parquet").read_bytes() == b"somebody's"


def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddingFilesError, match=r"cannot be written to .*file/out"):
        begin_export(tmp_path / "file" / "out", ORIGIN)


def test_a_missing_part_is_named(tmp_path):
    export(tmp_path, make_rows(25))
    (tmp_path / "part-00001.parquet").unlink()
    with pytest.raises(EmbeddingFilesError, match=r"part-00001\.parquet is missing"):
        open_export(tmp_path)


def test_a_part_that_was_copied_in_part_is_named(tmp_path):
    export(tmp_path, make_rows(25))
    part = tmp_path / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(EmbeddingFilesError, match=r"part-00001\.parquet has .* bytes instead of"):
        open_export(tmp_path)


def test_a_part_of_another_export_is_named(tmp_path):
    export(tmp_path / "one", make_rows(12))
    other = export(tmp_path / "two", make_rows(12), origin=dataclasses.replace(ORIGIN, export_id="two"))
    other.parts[1].file.replace(tmp_path / "one" / other.parts[1].file.name)
    with pytest.raises(EmbeddingFilesError, match=r"part-00001\.parquet is of another export"):
        open_export(tmp_path / "one")


def test_a_folder_that_spark_ended_counts_the_parts_that_are_there(tmp_path):
    export(tmp_path, make_rows(25))
    (tmp_path / SUCCESS).write_text("")
    assert open_export(tmp_path).rows == 25


@pytest.mark.parametrize("text", ["x", "[]", '{"parts": {"a": 1}}'])
def test_a_damaged_list_of_parts_is_reported(tmp_path, text):
    export(tmp_path, make_rows(2))
    (tmp_path / SUCCESS).write_text(text)
    with pytest.raises(EmbeddingFilesError, match=f"{SUCCESS} is damaged"):
        open_export(tmp_path)


def test_a_folder_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(EmbeddingFilesError, match="There is no folder"):
        open_export(tmp_path / "none")


# Folders that are filled by several runs


def test_an_encoding_run_goes_on_after_the_last_whole_part(tmp_path):
    rows = make_rows(25)
    first = begin_or_continue(tmp_path, ORIGIN)
    assert (first.parts, first.next_number) == ((), 0)
    list(write_parts(tmp_path, ORIGIN, rows[:12], part_rows=6))
    (tmp_path / "part-00002.parquet.unfinished").write_bytes(b"of a killed run")
    again = begin_or_continue(tmp_path, dataclasses.replace(ORIGIN, export_id="two"))
    assert (again.origin, again.rows, again.next_number) == (ORIGIN, 12, 2)
    list(write_parts(tmp_path, again.origin, rows[12:], part_rows=6, first=again.next_number))
    finish_export(tmp_path)
    assert open_export(tmp_path).rows == 25


def test_rows_are_dropped_from_the_parts_that_hold_them(tmp_path):
    rows = make_rows(25)
    export(tmp_path, rows)
    untouched = (tmp_path / "part-00002.parquet").stat().st_mtime_ns
    drop_rows(open_export(tmp_path), {"3.jpg", *(f"{number}.jpg" for number in range(10, 20))})
    (tmp_path / SUCCESS).unlink()
    left = finish_export(tmp_path)
    assert [part.file.name for part in left.parts] == ["part-00000.parquet", "part-00002.parquet"]
    found = [row for part in left.parts for batch in read_rows(part.file, dims=DIMS) for row in batch]
    assert as_bytes(found) == as_bytes([*rows[:3], *rows[4:10], *rows[20:]])
    assert (tmp_path / "part-00002.parquet").stat().st_mtime_ns == untouched


def test_an_export_does_not_remove_what_an_encoding_run_has_written(tmp_path):
    begin_or_continue(tmp_path, ORIGIN)
    list(write_parts(tmp_path, ORIGIN, make_rows(3)))
    with pytest.raises(EmbeddingFilesError, match="is not empty"):
        begin_export(tmp_path, ORIGIN)
    assert begin_or_continue(tmp_path, ORIGIN).rows == 3


def test_a_second_run_into_a_folder_is_refused(tmp_path):
    refused = pytest.raises(EmbeddingFilesError, match="Another run writes into")
    with lock_folder(tmp_path / "out"), refused, lock_folder(tmp_path / "out"):
        pass
    with lock_folder(tmp_path / "out"):
        begin_export(tmp_path / "out", ORIGIN)
