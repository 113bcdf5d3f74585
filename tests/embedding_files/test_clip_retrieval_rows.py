"""Files in clip-retrieval's layout as it writes them, made by numpy and pandas alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from image_embeddings.documents import PhotoMetadata
from image_embeddings.embedding_files.clip_retrieval_rows import open_rows
from image_embeddings.errors import EmbeddingFilesError
from image_embeddings.file_stores.folder import FolderStore
from tests.embedding_files.documents import DIMS, ORIGIN, make_rows
from tests.embedding_files.test_clip_retrieval import export

EMBEDDINGS = np.array([embedding for _, embedding in make_rows(25)])


def write(folder, embeddings, paths, *, number="0", **columns):
    """Write a pair of files as clip-retrieval's writer does."""
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    np.save(folder / "img_emb" / f"img_emb_{number}.npy", embeddings)
    pd.DataFrame({"image_path": paths, **columns}).to_parquet(folder / "metadata" / f"metadata_{number}.parquet")
    return FolderStore(folder)


def names(number, begin=0):
    return [f"/data/{begin + row}.jpg" for row in range(number)]


def test_rows_of_all_pairs_follow_each_other(tmp_path):
    half = EMBEDDINGS.astype(np.float16)
    write(tmp_path, half[:10], names(10), number="00")
    store = write(tmp_path, half[10:], names(15, 10), number="01", caption=["c"] * 14 + [None], key=range(15))
    (tmp_path / "text_emb").mkdir()
    with open_rows(store) as rows:
        assert (rows.dims, list(rows.paths)) == (DIMS, names(25))
        found = np.array([rows.embedding(row) for row in range(25)])
        assert rows.words == [*[None] * 10, *[PhotoMetadata(caption="c")] * 14, None]
    assert found.dtype == np.float32
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6
    assert (found * EMBEDDINGS).sum(axis=1).min() > 0.99999


def test_embeddings_of_another_length_are_made_unit_length_and_exact_ones_keep_their_bits(tmp_path):
    store = write(tmp_path, np.concatenate([EMBEDDINGS[:2], 7 * EMBEDDINGS[2:4]]), names(4))
    with open_rows(store) as rows:
        assert rows.embedding(1).tobytes() == EMBEDDINGS[1].tobytes()
        assert np.abs(rows.embedding(3) - EMBEDDINGS[3]).max() < 1e-6


def test_our_own_export_says_whose_words_they_are_and_of_which_content(tmp_path):
    rows = [(dataclasses.replace(document, caption="own", table_caption=None), e) for document, e in make_rows(2)]
    rows[0] = (dataclasses.replace(rows[0][0], table_caption="t", extra={"by": "Ada"}, label="l"), rows[0][1])
    export(tmp_path, rows, origin=ORIGIN)
    with open_rows(FolderStore(tmp_path)) as found:
        assert list(found.words) == [PhotoMetadata(label="l", caption="t", extra={"by": "Ada"}), None]
        assert list(found.content_hashes) == [document.content_hash for document, _ in rows]


def broken_row(value):
    embeddings = EMBEDDINGS[:5].copy()
    embeddings[3] = value
    return embeddings


@pytest.mark.parametrize(
    ("embeddings", "reason"),
    [
        (EMBEDDINGS[:4], r"has the shape \(4, 24\)"),
        (EMBEDDINGS[0], "holds no table of numbers"),
        (np.arange(10).reshape(5, 2), "holds no table of numbers"),
        (broken_row(0), r"no embedding in row 3 \(/data/3\.jpg\)"),
        (broken_row(np.nan), "no embedding in row 3"),
        (broken_row(np.inf), "no embedding in row 3"),
    ],
)
def test_arrays_that_cannot_be_right_are_refused(tmp_path, embeddings, reason):
    store = write(tmp_path, embeddings, names(5))
    with pytest.raises(EmbeddingFilesError, match=reason), open_rows(store):
        pass


def damage(tmp_path, name, data):
    store = write(tmp_path, EMBEDDINGS[:5], names(5))
    if data is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(data)
    return store


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("img_emb/img_emb_0.npy", b"x", r"img_emb_0\.npy is damaged"),
        ("img_emb/img_emb_0.npy", b"", r"img_emb_0\.npy is damaged"),
        ("img_emb/img_emb_0.npy", None, r"holds no img_emb/img_emb_0\.npy"),
        ("metadata/metadata_0.parquet", b"x", r"metadata_0\.parquet is damaged"),
        ("metadata/metadata_0.parquet", None, r"metadata_0\.parquet is missing"),
    ],
)
def test_files_that_are_damaged_or_missing_are_named(tmp_path, name, data, reason):
    store = damage(tmp_path, name, data)
    with pytest.raises(EmbeddingFilesError, match=reason), open_rows(store):
        pass


def test_an_array_that_would_run_code_is_refused(tmp_path):
    store = write(tmp_path, np.array([[object()]], object), ["a"])
    with pytest.raises(EmbeddingFilesError, match="is damaged, or no array of numbers"), open_rows(store):
        pass


def test_a_table_without_paths_is_refused(tmp_path):
    store = write(tmp_path, EMBEDDINGS[:1], ["a"])
    pd.DataFrame({"key": ["a"]}).to_parquet(tmp_path / "metadata" / "metadata_0.parquet")
    with pytest.raises(EmbeddingFilesError, match="no column image_path"), open_rows(store):
        pass
