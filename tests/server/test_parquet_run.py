"""Photos are encoded into Parquet files without Elasticsearch, and imported later: the index is the same."""

import dataclasses
import json
from pathlib import Path

import pytest

from image_embeddings.config import load_settings
from image_embeddings.embedding_files.folder import open_export
from image_embeddings.errors import CorpusError, EmbeddingFilesError, ModelMismatchError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.file_stores.folder import FolderStore
from image_embeddings.file_stores.s3 import S3Store
from image_embeddings.indexing.parquet_run import encode_into_parquet
from image_embeddings.indexing.report import IndexOptions
from tests.commands import run_here
from tests.fakes import RecordedProgress
from tests.pictures import save
from tests.server.album import contents

pytestmark = pytest.mark.server


@pytest.fixture
def environ(data_dir, photos):
    """Settings that name an Elasticsearch at which nothing answers."""
    environ = {"ES_HOST": "http://127.0.0.1:1", "DATA_DIR": str(data_dir)}
    return {**environ, "IMAGE_DIR": str(photos), "IMAGE_MODEL": "conse"}


@pytest.fixture
def encode(environ, tmp_path):
    """Encode the photos into parts of two, and return the report."""

    def go(*, progress=RecordedProgress, **choices):
        return encode_into_parquet(load_settings(environ), tmp_path / "out", part_rows=2, progress=progress, **choices)

    return go


def documents_in(folder):
    """Return image_id -> document and embedding, as bytes; fail if an image_id stands there twice."""
    export = open_export(FolderStore(folder) if isinstance(folder, Path) else folder)
    batches = [batch for part in export.parts for batch in part.read_rows(dims=export.origin.model.dims)]
    found = {document.image_id: (document, embedding.tobytes()) for batch in batches for document, embedding in batch}
    assert len(found) == export.rows
    return found


def reopen(folder):
    """Make it a folder of a run that was killed just before its end."""
    (folder / "_SUCCESS").unlink()


def test_the_index_that_is_filled_from_the_files_is_as_one_that_was_indexed(
    environ, elasticsearch_url, cluster, name, photos, tmp_path
):
    (photos / "no-photo.jpg").write_bytes(b"x")
    done = run_here(environ, "index", "--to", "parquet", str(tmp_path / "out"), "--batch-size", "1", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["found"], report["encoded"]) == (7, 6)
    assert [item["image_id"] for item in report["skipped"]] == ["no-photo.jpg"]
    there = {**environ, "ES_HOST": elasticsearch_url, "INDEX_NAME": name}
    assert run_here({**there, "INDEX_NAME": f"{name}-usual"}, "index", "--batch-size", "1").exit_code == 0
    assert run_here(there, "index", "--from", "parquet", str(tmp_path / "out")).exit_code == 0
    usual = ImageIndex(cluster, name=f"{name}-usual")
    try:
        assert contents(ImageIndex(cluster, name=name)) == contents(usual)
        assert ImageIndex(cluster, name=name).state().model == usual.state().model
    finally:
        usual.drop()
    report = json.loads(run_here(there, "index", "--json").stdout)
    assert (report["encoded"], report["unchanged"]) == (0, 6)


def test_photos_of_a_bucket_give_the_files_that_those_of_a_folder_give_but_for_times_and_etags(
    environ, encode, bucket, s3_server, photos, tmp_path
):
    name, client = bucket
    for path in photos.rglob("*.png"):
        client.put_object(Bucket=name, Key=f"p/{path.relative_to(photos).as_posix()}", Body=path.read_bytes())
    encode()
    away = {**environ, "S3_ENDPOINT": s3_server}
    out = tmp_path / "from-bucket"
    command = ("index", f"s3://{name}/p", "--to", "parquet", str(out), "--json")
    report = json.loads(run_here(away, *command).stdout)
    assert (report["found"], report["encoded"]) == (6, 6)
    assert open_export(FolderStore(out)).origin.corpus == f"s3://{name}/p"
    found, of_folder = documents_in(out), documents_in(tmp_path / "out")
    assert all(document.etag for document, _ in found.values())
    state = {"mtime_ns": 0, "ctime_ns": 0, "inode": 0, "etag": None}

    def without_state(documents):
        return {key: (dataclasses.replace(document, **state), bits) for key, (document, bits) in documents.items()}

    assert without_state(found) == without_state(of_folder)
    reopen(out)
    client.put_object(Bucket=name, Key="p/warm/red.png", Body=(photos / "cold" / "deep" / "blue.png").read_bytes())
    report = json.loads(run_here(away, *command).stdout)
    assert (report["encoded"], report["unchanged"]) == (1, 5)


def test_a_run_that_was_stopped_goes_on_and_encodes_nothing_twice(encode, tmp_path):
    progress = RecordedProgress()
    first = encode(
        progress=lambda total: progress,
        stopped=lambda: progress.done >= 1,
        options=IndexOptions(batch_size=1, thread_count=1),
    )
    assert first.stopped
    assert 1 <= first.encoded < 6
    with pytest.raises(EmbeddingFilesError, match="did not end"):
        open_export(FolderStore(tmp_path / "out"))
    again = encode()
    assert (again.encoded, again.unchanged) == (6 - first.encoded, first.encoded)
    assert len(documents_in(tmp_path / "out")) == 6


def test_a_run_into_a_bucket_that_was_stopped_goes_on_with_the_parts_that_are_there(
    environ, bucket, s3_server, encode, tmp_path
):
    encode()
    settings = load_settings({**environ, "S3_ENDPOINT": s3_server})
    out, progress = f"s3://{bucket[0]}/out", RecordedProgress()
    first = encode_into_parquet(
        settings,
        out,
        part_rows=2,
        progress=lambda total: progress,
        stopped=lambda: progress.done >= 1,
        options=IndexOptions(batch_size=1, thread_count=1),
    )
    assert first.stopped
    store = S3Store(out, endpoint=s3_server)
    before = bucket[1].list_objects_v2(Bucket=bucket[0])["Contents"]
    command = ("index", "--to", "parquet", f"{out}/", "--json")
    done = run_here({**environ, "S3_ENDPOINT": s3_server}, *command)
    assert done.exit_code == 0, done.stderr
    assert f"index --from parquet {out}" in done.stderr
    report = json.loads(done.stdout)
    assert (report["encoded"], report["unchanged"]) == (6 - first.encoded, first.encoded)
    after = bucket[1].list_objects_v2(Bucket=bucket[0])["Contents"]
    assert [item for item in before if item not in after] == []
    found, local = documents_in(store), documents_in(tmp_path / "out")
    assert {key: document for key, (document, _) in found.items()} == {
        key: document for key, (document, _) in local.items()
    }


def test_photos_that_change_or_go_between_two_runs_are_right_in_the_end(encode, photos, tmp_path):
    encode()
    reopen(tmp_path / "out")
    changed, gone, *others = sorted(photos.rglob("*.png"))
    save(changed, colour="white", size=(50, 40))
    gone.unlink()
    report = encode()
    assert (report.encoded, report.unchanged) == (1, 4)
    found = documents_in(tmp_path / "out")
    assert found.keys() == {path.relative_to(photos).as_posix() for path in (changed, *others)}
    document, _ = found[changed.relative_to(photos).as_posix()]
    assert (document.width, document.height) == (50, 40)


def test_other_weights_do_not_go_on_with_the_files(encode, tmp_path):
    encode()
    reopen(tmp_path / "out")
    begun = tmp_path / "out" / "_encoding.json"
    origin = json.loads(begun.read_text())
    origin["model"]["probe"][0] += 0.1
    begun.write_text(json.dumps(origin))
    with pytest.raises(ModelMismatchError, match=r"was begun with the model 'conse', .* or other weights of that name"):
        encode()


def test_another_folder_does_not_go_on_with_the_files(encode, photos, tmp_path):
    encode()
    reopen(tmp_path / "out")
    with pytest.raises(EmbeddingFilesError, match="was begun with the photos of"):
        encode(folder=photos / "warm")


def test_a_folder_whose_drive_is_not_mounted_costs_no_rows(encode, photos, tmp_path):
    encode()
    reopen(tmp_path / "out")
    photos.rename(tmp_path / "elsewhere")
    photos.mkdir()
    with pytest.raises(CorpusError, match="There are no photos"):
        encode()
    photos.rmdir()
    (tmp_path / "elsewhere").rename(photos)
    assert encode().encoded == 0
    assert len(documents_in(tmp_path / "out")) == 6


@pytest.mark.parametrize("flag", ["--rebuild", "--watch", "--reread", "--delete-existing", "--discard-rebuild"])
def test_flags_that_are_about_an_index_are_refused(environ, tmp_path, flag):
    done = run_here(environ, "index", "--to", "parquet", str(tmp_path / "out"), flag)
    assert done.exit_code == 2
    assert "it writes into no index" in done.stderr


@pytest.mark.parametrize(
    "more", ["/photos", "--watch", "--reread", "--delete-existing", "--part=1/2", "--metadata=a.csv"]
)
def test_flags_that_are_about_photos_are_refused_by_what_reads_none(environ, tmp_path, more):
    done = run_here(environ, "index", "--from", "parquet", str(tmp_path / "out"), more)
    assert done.exit_code == 2
    assert "it reads no photos" in done.stderr


@pytest.mark.parametrize("option", ["--to", "--from"])
def test_other_kinds_of_files_are_refused_by_name(environ, option):
    done = run_here(environ, "index", option, "csv", "/out")
    assert done.exit_code == 2
    assert "'csv' is not" in done.stderr
