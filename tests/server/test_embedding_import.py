"""An index is filled with the embeddings of another one: other shards, another index type, the same bits and hits."""

import dataclasses
import json
import random
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from image_embeddings.config import load_settings
from image_embeddings.embedding_files.folder import open_export
from image_embeddings.errors import EmbeddingFilesError, IndexBusyError, IndexForeignError, ModelMismatchError
from image_embeddings.es import mapping
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.opening import state_of
from image_embeddings.es.retries import patiently
from image_embeddings.file_stores.folder import FolderStore
from image_embeddings.indexing.embedding_export import export_parquet
from image_embeddings.indexing.embedding_import import fill, import_embeddings
from image_embeddings.indexing.report import IndexOptions
from tests.commands import run_here
from tests.embedding_files.documents import MODEL, make_rows
from tests.fakes import RecordedProgress
from tests.forked import forked_programs
from tests.pictures import colour_photos
from tests.server.album import contents
from tests.waiting import LONG, wait_for

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
PHOTOS, PART_ROWS = 600, 50
KILLS = 3


@pytest.fixture(scope="module")
def source(cluster):
    """An index of documents with random embeddings, some of them of an older format."""
    index = ImageIndex(cluster, name="test-import-source")
    state = index.create(model=MODEL, vector_index_type="int8_hnsw", corpus="/photos")
    assert list(index.documents.add(make_rows(PHOTOS))) == []
    index.note_progress(dataclasses.replace(state, oldest_format=3), None)
    index.refresh()
    yield index
    index.drop()


@pytest.fixture(scope="module")
def files(elasticsearch_url, source, tmp_path_factory):
    """The export of `source`."""
    folder = tmp_path_factory.mktemp("export")
    settings = load_settings(
        {"ES_HOST": elasticsearch_url, "INDEX_NAME": source.name, "DATA_DIR": str(folder / "data")}
    )
    export_parquet(settings, folder / "out", part_rows=PART_ROWS, progress=RecordedProgress)
    return folder / "out"


@pytest.fixture(scope="module")
def expected(source):
    return contents(source)


@pytest.fixture
def target(cluster, name):
    """The index that is filled; it does not exist yet."""
    index = ImageIndex(cluster, name=name)
    yield index
    index.rebuild.drop()


@pytest.fixture
def environ(elasticsearch_url, name, tmp_path):
    return {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def import_files(environ, files):
    """Import the files by these settings, and return the report. The index is a flat one, which is built fastest."""

    def go(folder=files, *, settings=None, **choices):
        loaded = load_settings({**environ, "VECTOR_INDEX_TYPE": "flat", **(settings or {})})
        return import_embeddings(loaded, folder, progress=choices.pop("progress", RecordedProgress), **choices)

    return go


def hits_of(index, number=10):
    """Return the hits of some searches by embedding, each with its cosine."""
    queries = np.random.default_rng(9).standard_normal((number, MODEL.dims)).astype(np.float32)
    results = [index.nearest.to_embedding(query / np.linalg.norm(query), k=10) for query in queries]
    return [[(hit.image_id, round(hit.similarity, 6)) for hit in result.hits] for result in results]


def index_settings(index):
    (found,) = index.cluster.client.indices.get(index=index.name).body.values()
    return found["settings"]["index"], found["mappings"]["properties"]["image_embedding"]["index_options"]["type"]


def test_another_index_type_gets_equal_documents_and_the_same_hits(environ, files, source, target, expected):
    done = run_here({**environ, "VECTOR_INDEX_TYPE": "hnsw"}, "import", str(files), "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["documents"], report["written"], report["skipped"]) == (PHOTOS, PHOTOS, [])
    assert index_settings(target)[1] == "hnsw"
    assert contents(target) == expected
    assert hits_of(target) == hits_of(source)
    state = target.state()
    assert (state.model, state.corpus, state.oldest_format) == (MODEL, "/photos", 3)
    assert state.indexing is None
    assert state.calibration.photos == PHOTOS


def test_three_shards_get_equal_documents_and_the_same_hits(cluster, source, files, target, expected):
    body = mapping.index_body(model=MODEL, vector_index_type="flat", corpus="/photos")
    body["settings"] = {"number_of_shards": 3}
    cluster.client.indices.create(index=f"{target.name}-1", aliases={target.name: {"is_write_index": True}}, **body)
    fill(target, target.state(), open_export(FolderStore(files)), progress=RecordedProgress())
    assert index_settings(target)[0]["number_of_shards"] == "3"
    assert contents(target) == expected
    assert hits_of(target) == hits_of(source)


def test_an_import_makes_as_many_shards_and_copies_as_the_settings_say(import_files, target, expected):
    settings = {"INDEX_SHARDS": "2", "INDEX_REPLICAS": "0", "VECTOR_INDEX_TYPE": "flat"}
    for rebuild in (False, True):
        import_files(rebuild=rebuild, settings=settings)
        made, _ = index_settings(target)
        assert (made["number_of_shards"], made["number_of_replicas"]) == ("2", "0")
        assert contents(target) == expected


# It takes the place of another index


def test_a_rebuild_replaces_the_index_in_one_step(import_files, target, expected):
    import_files(settings={"VECTOR_INDEX_TYPE": "flat"})
    before = target.state().backing_index
    report = import_files(rebuild=True, settings={"VECTOR_INDEX_TYPE": "hnsw"})
    assert (report.written, report.waiting) == (PHOTOS, "")
    assert target.state().backing_index != before
    assert index_settings(target)[1] == "hnsw"
    assert contents(target) == expected
    assert not target.cluster.client.indices.exists(index=before)


def test_a_rebuild_that_would_lose_photos_is_refused_before_it_begins(import_files, target):
    import_files()
    (document, embedding), *_ = make_rows(1)
    list(target.documents.add([(dataclasses.replace(document, image_id="new.jpg"), embedding)]))
    with pytest.raises(EmbeddingFilesError, match=r"holds 1 photos that .* lacks, such as 'new\.jpg'.*--prune"):
        import_files(rebuild=True)
    assert not target.cluster.client.indices.exists(index=target.rebuild.name)
    assert import_files(rebuild=True, prune=True).written == PHOTOS
    assert "new.jpg" not in contents(target)


def test_an_unfinished_rebuild_with_other_files_is_not_touched(import_files, target):
    target.begin_rebuild(model=MODEL, vector_index_type="flat")
    list(target.rebuild.documents.add(make_rows(3)))
    with pytest.raises(IndexBusyError, match="--discard-rebuild"):
        import_files(rebuild=True)
    target.rebuild.refresh()
    assert target.rebuild.count() == 3


# Refusals


def test_an_index_that_is_there_is_not_changed(import_files, target):
    target.create(model=MODEL, vector_index_type="flat")
    list(target.documents.add(make_rows(3)))
    with pytest.raises(IndexForeignError, match=r"There is an index .* already.*--rebuild"):
        import_files()
    target.refresh()
    assert target.count() == 3


def test_files_of_other_weights_than_the_index_are_refused(import_files, target):
    other = dataclasses.replace(MODEL, probe=tuple(number + 0.1 for number in MODEL.probe))
    target.create(model=other, vector_index_type="flat")
    list(target.documents.add(make_rows(3)))
    with pytest.raises(ModelMismatchError, match="other weights of that name"):
        import_files(rebuild=True)


def test_files_of_another_model_than_image_model_are_refused(import_files, target, data_dir):
    with pytest.raises(ModelMismatchError, match=r"are of the model 'colour'.* IMAGE_MODEL names another, 'conse'"):
        import_files(settings={"IMAGE_MODEL": "conse", "DATA_DIR": str(data_dir)})
    assert not target.cluster.client.indices.exists(index=target.name)


def test_damaged_files_end_the_import_in_one_line_and_whole_ones_go_on(environ, files, target, expected, tmp_path):
    copies = tmp_path / "copies"
    copies.mkdir()
    for file in files.iterdir():
        (copies / file.name).write_bytes(file.read_bytes())
    damaged = bytearray((files / "part-00007.parquet").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (copies / "part-00007.parquet").write_bytes(damaged)
    done = run_here(environ, "import", str(copies))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {copies}/part-00007.parquet is damaged")
    (copies / "part-00007.parquet").write_bytes((files / "part-00007.parquet").read_bytes())
    done = run_here(environ, "import", str(copies))
    assert "600 documents: 250 written, 350 written before" in done.stdout
    assert contents(target) == expected


# Interruptions


def test_a_stopped_import_goes_on_with_the_next_part(import_files, target, expected):
    report = stop_after(220, import_files)
    assert report.stopped
    assert report.left == PHOTOS - report.written
    assert target.state().indexing["stopped"]
    again = import_files()
    assert (again.done_before, again.written) == (200, PHOTOS - 200)
    assert contents(target) == expected


def stop_after(done, import_files, **choices):
    progress = RecordedProgress()
    options = IndexOptions(chunk_size=20)
    return import_files(
        progress=lambda total: progress, stopped=lambda: progress.done >= done, options=options, **choices
    )


def status(environ):
    done = run_here(environ, "status", "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_status_says_how_to_go_on_with_an_unfinished_import(import_files, environ, files, target):
    stop_after(220, import_files)
    assert status(environ)["indexing"].endswith(f" ago. To go on with it: import {files}.")
    target.note_progress(target.state(), {**target.state().indexing, "stopped": False})  # as after a kill
    assert status(environ)["indexing"].endswith(
        f"If this import is not under way any more, go on with it: import {files}."
    )
    import_files()
    assert "indexing" not in status(environ)


def test_status_says_how_to_go_on_with_an_import_beside_an_index(import_files, environ, files, target):
    import_files()
    stop_after(220, import_files, rebuild=True)
    go_on = f"import {files} --rebuild. To give it up: index --discard-rebuild."
    said = status(environ)["rebuild"]
    assert re.fullmatch(rf"2\d\d of {PHOTOS} photos, stopped \d+ s ago, by colour\. To go on with it: {go_on}", said)
    beside = target.rebuild
    beside.note_progress(beside.state(), {**beside.state().indexing, "stopped": False})  # as while it runs
    said = status(environ)["rebuild"]
    assert re.match(
        rf"2\d\d of {PHOTOS} photos, \d+ s ago, by colour\. If this rebuild is not under way any more, ", said
    )
    assert said.endswith(f"go on with it: {go_on}")
    import_files(rebuild=True)
    assert "rebuild" not in status(environ)


def test_an_import_that_was_killed_after_it_had_made_the_index_begins_anew(import_files, target, expected):
    target.create(model=MODEL, vector_index_type="flat")
    assert import_files(settings={"VECTOR_INDEX_TYPE": "hnsw"}).written == PHOTOS
    assert index_settings(target)[1] == "hnsw"
    assert contents(target) == expected


@pytest.fixture(scope="module")
def begin():
    """Begin an import in a process of its own."""
    with forked_programs("tests.server.import_files", "elasticsearch", "pyarrow.parquet") as start:
        yield lambda files, environ: start(files, json.dumps(environ))


def done_in(index):
    state = patiently(state_of, index)  # the import has perhaps just made it
    return (state.indexing or {}).get("done", 0) if state else 0


@pytest.mark.parametrize("rebuild", [False, True], ids=["new", "rebuild"])
def test_an_import_killed_at_any_moment_ends_with_exactly_the_exported_documents(
    environ, files, target, expected, import_files, begin, rebuild
):
    if rebuild:
        import_files()
    environ = {**environ, "REBUILD": "yes" if rebuild else ""}
    filled = target.rebuild if rebuild else target
    killed = 0
    for done in sorted(random.Random(1).sample(range(20, PHOTOS - 100), KILLS)):
        process = begin(files, environ)
        wait_for(lambda: process.poll() is not None or done_in(filled) >= done)  # noqa: B023 - it is called at once
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed == KILLS
    assert begin(files, environ).wait(LONG) == 0
    assert contents(target) == expected
    assert target.state().indexing is None


def test_photos_can_be_indexed_into_an_imported_index(environ, data_dir, tmp_path, target):
    photos = colour_photos(tmp_path / "photos")
    first = {**environ, "DATA_DIR": str(data_dir), "IMAGE_DIR": str(photos), "IMAGE_MODEL": "conse"}
    assert run_here(first, "index").exit_code == 0
    assert run_here(first, "export", "parquet", str(tmp_path / "out")).exit_code == 0
    target.drop()
    assert run_here(first, "import", str(tmp_path / "out")).exit_code == 0
    (photos / "warm" / "red.png").rename(photos / "warm" / "rouge.png")
    report = json.loads(run_here(first, "index", "--json").stdout)
    assert (report["encoded"], report["unchanged"], report["reused"], report["moved"]) == (0, 5, 1, 1)
    assert json.loads(run_here(first, "search", "red", "--json", "-k", "1").stdout)["total"] == 6


def test_index_says_how_to_go_on_with_an_import_beside_the_index(environ, data_dir, tmp_path, target):
    photos, out = colour_photos(tmp_path / "photos"), tmp_path / "out"
    own = {**environ, "DATA_DIR": str(data_dir), "IMAGE_DIR": str(photos), "IMAGE_MODEL": "conse"}
    assert run_here(own, "index").exit_code == 0
    assert run_here(own, "export", "parquet", str(out)).exit_code == 0
    settings = load_settings(own)
    assert import_embeddings(settings, out, rebuild=True, progress=RecordedProgress, stopped=lambda: True).stopped
    go_on = f"To go on with it: import {out} --rebuild. To give it up: index --discard-rebuild."
    assert f"A rebuild of this index is unfinished. {go_on}" in run_here(own, "index").stderr
    unlike = dataclasses.replace(target.rebuild.state().model, model_id="other")
    target.rebuild.note_progress(
        dataclasses.replace(target.rebuild.state(), model=unlike), target.rebuild.state().indexing
    )
    refused = run_here(own, "index", "--rebuild")
    assert refused.exit_code == 1
    assert f"A rebuild with 'other' was begun and is not finished. {go_on}" in refused.stderr
