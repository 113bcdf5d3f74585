"""Files in clip-retrieval's layout, read by numpy and pyarrow alone."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from image_embeddings.embedding_files import clip_retrieval
from image_embeddings.errors import EmbeddingFilesError
from image_embeddings.file_stores.folder import FolderStore
from tests.embedding_files.documents import ORIGIN, make_rows


def export(folder, rows, *, part_rows=10, float32=False, origin=ORIGIN):
    store = FolderStore(folder)
    clip_retrieval.begin(store, origin)
    pairs = clip_retrieval.write_pairs(store, origin, rows, total=len(rows), part_rows=part_rows, float32=float32)
    parts = list(pairs)
    clip_retrieval.finish(store, origin, parts)
    return parts


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_each_row_of_the_embeddings_belongs_to_the_row_of_the_same_number(tmp_path):
    rows = make_rows(25)
    assert [part.rows for part in export(tmp_path, rows)] == [10, 10, 5]
    found = []
    for number in range(3):
        embeddings = np.load(tmp_path / "img_emb" / f"img_emb_{number}.npy")
        table = pq.read_table(tmp_path / "metadata" / f"metadata_{number}.parquet")
        assert (embeddings.dtype, embeddings.shape[0]) == (np.float16, table.num_rows)
        found += zip(table["image_id"].to_pylist(), embeddings, strict=True)
    assert [image_id for image_id, _ in found] == [document.image_id for document, _ in rows]
    exact = np.array([embedding for _, embedding in rows])
    assert (np.array([embedding for _, embedding in found]) == exact.astype(np.float16)).all()


def test_float32_keeps_all_bits(tmp_path):
    rows = make_rows(3)
    export(tmp_path, rows, float32=True)
    assert np.load(tmp_path / "img_emb" / "img_emb_0.npy").tobytes() == b"".join(row[1].tobytes() for row in rows)


def test_the_table_has_path_caption_and_what_else_is_known(tmp_path):
    export(tmp_path, make_rows(2))
    table = pq.read_table(tmp_path / "metadata" / "metadata_0.parquet")
    assert table["image_path"].to_pylist() == ["/photos/été/ü +#&.jpg", "/photos/1.jpg"]
    assert table["caption"].to_pylist() == ["A caption\nof two lines", None]
    assert table["width"].to_pylist() == [4000, 3]


def test_without_a_known_folder_the_paths_are_image_ids(tmp_path):
    export(tmp_path, make_rows(2), origin=dataclasses.replace(ORIGIN, corpus=None))
    table = pq.read_table(tmp_path / "metadata" / "metadata_0.parquet")
    assert table["image_path"].to_pylist() == table["image_id"].to_pylist()


@pytest.mark.parametrize(("number", "last"), [(10, "0"), (100, "9"), (101, "10")])
def test_names_sort_as_their_numbers_do(tmp_path, number, last):
    export(tmp_path, make_rows(number))
    assert names(tmp_path / "img_emb")[-1] == f"img_emb_{last}.npy"
    assert names(tmp_path / "metadata") == sorted(f"metadata_{n:0{len(last)}}.parquet" for n in range(int(last) + 1))


def test_an_export_that_did_not_end_is_replaced_and_a_finished_one_is_not(tmp_path):
    store = FolderStore(tmp_path)
    clip_retrieval.begin(store, ORIGIN)
    pairs = clip_retrieval.write_pairs(store, ORIGIN, make_rows(25), total=25, part_rows=10, float32=False)
    next(pairs)
    assert names(tmp_path) == ["_export.json", "img_emb", "metadata"]
    export(tmp_path, make_rows(3), part_rows=100)
    assert np.load(tmp_path / "img_emb" / "img_emb_0.npy").shape == (3, 24)
    assert names(tmp_path / "img_emb") == ["img_emb_0.npy"]
    assert json.loads((tmp_path / "_SUCCESS").read_text())["rows"] == 3
    with pytest.raises(EmbeddingFilesError, match="holds a finished export"):
        clip_retrieval.begin(store, ORIGIN)
