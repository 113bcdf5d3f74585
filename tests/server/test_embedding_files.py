"""Embeddings leave an index as Parquet files, and are read there by pyarrow alone."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from image_embeddings.errors import RequestError, SnapshotLostError
from image_embeddings.es import all_documents
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.retries import passes
from tests.commands import run_here
from tests.embedding_files.documents import DIMS, MODEL, as_bytes, make_rows

pytestmark = pytest.mark.server

PHOTOS = 1_200


@pytest.fixture(scope="module")
def rows():
    return make_rows(PHOTOS)


@pytest.fixture(scope="module")
def filled(cluster, rows):
    """An index of documents with random embeddings."""
    index = ImageIndex(cluster, name="test-exported")
    index.create(model=MODEL, vector_index_type="int8_hnsw", corpus="/photos")
    assert list(index.documents.add(rows)) == []
    index.refresh()
    yield index
    index.drop()


@pytest.fixture
def environ(elasticsearch_url, filled, tmp_path):
    return {"ES_HOST": elasticsearch_url, "INDEX_NAME": filled.name, "DATA_DIR": str(tmp_path / "data")}


def export(environ, folder, *arguments):
    done = run_here(environ, "export", "parquet", str(folder), "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_index_gives_back_the_bits_that_were_written(filled, rows):
    pages = list(all_documents.read_all(filled, dims=DIMS))
    found = [row for page in pages for row in page.rows]
    assert sorted(as_bytes(found), key=str) == sorted(as_bytes(rows), key=str)
    assert {page.total for page in pages} == {PHOTOS}


def test_pages_are_of_one_moment_whatever_is_written_meanwhile(index, monkeypatch):
    monkeypatch.setattr(all_documents, "PAGE_NUMBERS", 2 * 4)
    rows = make_rows(7, dims=4)
    list(index.documents.add(rows))
    pages = all_documents.read_all(index, dims=4)
    first = next(pages)
    list(index.documents.remove([document.image_id for document, _ in rows]))
    index.refresh()
    later = list(pages)
    assert [len(page.rows) for page in (first, *later)] == [2, 2, 2, 1]
    found = [row for page in (first, *later) for row in page.rows]
    assert sorted(as_bytes(found), key=str) == sorted(as_bytes(rows), key=str)


@pytest.fixture
def losing(cluster, monkeypatch):
    """Lose what an export has opened, after its first page: as often as the list that is returned has entries."""
    monkeypatch.setattr(all_documents, "PAGE_NUMBERS", 500 * DIMS)
    losses, search = [], all_documents._search

    def search_once(client, body):
        if losses and "search_after" in body:
            cluster.client.close_point_in_time(id=body["pit"]["id"])
            losses.pop()
        return search(client, body)

    monkeypatch.setattr(all_documents, "_search", search_once)
    return losses


def test_a_lost_snapshot_is_an_error_that_no_page_is_asked_for_again_after(filled, losing):
    losing.append(1)
    with pytest.raises(SnapshotLostError, match="lost what it had opened") as raised:
        list(all_documents.read_all(filled, dims=DIMS))
    assert not passes(raised.value)


@pytest.mark.parametrize("layout", ["parquet", "npy"])
def test_an_export_that_loses_its_snapshot_begins_again(environ, tmp_path, losing, layout):
    losing += [1, 1]
    done = run_here(environ, "export", layout, str(tmp_path / "out"), "--json", "--part-rows", "300")
    assert done.exit_code == 0, done.stderr
    assert (json.loads(done.stdout)["documents"], losing) == (PHOTOS, [])
    assert done.stderr.count("The export begins again") == 2
    tables = [pq.read_table(file, columns=["image_id"]) for file in (tmp_path / "out").rglob("*.parquet")]
    image_ids = [image_id for table in tables for image_id in table["image_id"].to_pylist()]
    assert len(image_ids) == len(set(image_ids)) == PHOTOS


def test_an_export_ends_with_the_error_if_it_loses_each_snapshot(environ, tmp_path, losing):
    losing += [1] * 10
    done = run_here(environ, "export", "parquet", str(tmp_path / "out"))
    assert (done.exit_code, len(losing)) == (1, 7)
    assert "Do it again when all nodes are there" in done.stderr


@pytest.mark.parametrize(("timed_out", "failed"), [(True, 0), (False, 2)])
def test_an_answer_of_some_shards_only_is_an_error(timed_out, failed):
    answer = {"timed_out": timed_out, "_shards": {"total": 3, "failed": failed}}
    with pytest.raises(RequestError, match=f"{failed} of 3 shards failed"):
        all_documents.check_whole(answer)


def test_an_export_holds_the_whole_index_for_any_reader_of_parquet(environ, rows, tmp_path):
    report = export(environ, tmp_path / "out", "--part-rows", "500")
    assert (report["documents"], report["files"], report["left_out"]) == (PHOTOS, 3, 0)
    parts = sorted((tmp_path / "out").glob("part-*.parquet"))
    tables = [pq.read_table(part) for part in parts]
    assert [len(table) for table in tables] == [500, 500, 200]
    table = pa.concat_tables(tables).sort_by("image_id")
    expected = sorted(rows, key=lambda row: row[0].image_id)
    assert table["image_id"].to_pylist() == [document.image_id for document, _ in expected]
    embeddings = table["embedding"].combine_chunks().flatten().to_numpy()
    assert embeddings.tobytes() == np.array([embedding for _, embedding in expected]).tobytes()
    assert table["title"].to_pylist() == [document.title for document, _ in expected]
    said = json.loads(tables[0].schema.metadata[b"image_search"])
    assert (said["model"]["model_id"], said["model"]["probe"]) == ("colour", [0.1, -0.25, 0.3333])


def test_an_export_into_a_bucket_holds_the_same_and_fills_another_index(
    environ, cluster, name, bucket, s3_server, rows
):
    environ = {**environ, "S3_ENDPOINT": s3_server}
    address = f"s3://{bucket[0]}/backup"
    report = export(environ, address, "--part-rows", "500")
    assert (report["folder"], report["documents"], report["files"]) == (address, PHOTOS, 3)
    keys = [item["Key"] for item in bucket[1].list_objects_v2(Bucket=bucket[0])["Contents"]]
    assert keys == [
        *("backup/_SUCCESS", "backup/_export.json"),
        *(f"backup/part-0000{number}.parquet" for number in range(3)),
    ]
    done = run_here({**environ, "INDEX_NAME": name}, "import", f"{address}/", "--json")
    assert done.exit_code == 0, done.stderr
    filled = ImageIndex(cluster, name=name)
    try:
        found = [row for page in all_documents.read_all(filled, dims=DIMS) for row in page.rows]
        assert sorted(as_bytes(found), key=str) == sorted(as_bytes(rows), key=str)
    finally:
        filled.drop()
    refused = run_here(environ, "export", "parquet", address)
    assert refused.exit_code == 1
    assert f"{address} holds a finished export" in refused.stderr


def test_an_export_for_clip_retrieval_has_the_embeddings_and_tables_in_one_order(environ, rows, tmp_path):
    arguments = ("export", "npy", str(tmp_path / "out"), "--json", "--part-rows", "700", "--float32")
    done = run_here(environ, *arguments)
    assert done.exit_code == 0, done.stderr
    assert (json.loads(done.stdout)["documents"], json.loads(done.stdout)["files"]) == (PHOTOS, 4)
    exact = {document.image_id: embedding.tobytes() for document, embedding in rows}
    found = {}
    for number in range(2):
        table = pq.read_table(tmp_path / "out" / "metadata" / f"metadata_{number}.parquet")
        embeddings = np.load(tmp_path / "out" / "img_emb" / f"img_emb_{number}.npy")
        found |= dict(zip(table["image_id"].to_pylist(), map(np.ndarray.tobytes, embeddings), strict=True))
    assert found == exact


def test_a_second_export_into_the_folder_is_refused_in_one_line(environ, tmp_path):
    export(environ, tmp_path / "out")
    done = run_here(environ, "export", "parquet", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert "holds a finished export" in done.stderr


def test_documents_of_others_are_left_out_and_counted(environ, filled, tmp_path):
    client = filled.cluster.client
    client.index(index=filled.name, id="foreign", document={"image_id": "other"}, refresh=True)
    try:
        done = run_here(environ, "export", "parquet", str(tmp_path / "out"))
    finally:
        client.delete(index=filled.name, id="foreign", refresh=True)
    assert done.stdout.startswith("1,200 documents in 1 file, ")
    assert "this program did not write them: 1 (the first is 'foreign')" in done.stderr


def test_an_index_without_photos_is_not_exported(environ, index, tmp_path):
    done = run_here({**environ, "INDEX_NAME": index.name}, "export", "parquet", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert "holds no photos" in done.stderr
    assert not (tmp_path / "out" / "_SUCCESS").exists()
