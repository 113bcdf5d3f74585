"""Embeddings in clip-retrieval's layout come into an index, each with its own photo, if the model is the same."""

import json

import numpy as np
import pytest

from image_embeddings.es.image_index import ImageIndex
from tests.commands import run_here
from tests.embedding_files.test_clip_retrieval_rows import write
from tests.pictures import save
from tests.server.album import contents

pytestmark = pytest.mark.server


@pytest.fixture
def environ(elasticsearch_url, data_dir, photos, name):
    """Settings of an index without photos."""
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "DATA_DIR": str(data_dir)}
    return {**environ, "IMAGE_DIR": str(photos), "IMAGE_MODEL": "conse"}


@pytest.fixture
def indexed(environ, cluster, name, photos):
    """Another index of the photos, with words of a metadata file: its content, and a function that exports it."""
    other = ImageIndex(cluster, name=f"{name}-usual")
    usual = {**environ, "INDEX_NAME": other.name}
    table = photos.parent / "words.csv"
    table.write_text("file,caption,photographer\nwarm/red.png,A red wall,Ada\n")
    assert run_here(usual, "index", "--metadata", str(table)).exit_code == 0

    def export(folder, *flags):
        assert run_here(usual, "export", "npy", str(folder), *flags).exit_code == 0

    yield contents(other), export
    other.drop()


def index(environ, folder, *arguments):
    done = run_here(environ, "index", "--from", "npy", str(folder), "--json", *arguments)
    return done, json.loads(done.stdout) if done.exit_code == 0 else None


def embedding_of(found):
    return {image_id: np.frombuffer(bits, np.float32) for image_id, (_, bits) in found.items()}


@pytest.mark.parametrize("flags", [(), ("--float32",)], ids=["float16", "float32"])
def test_what_was_exported_comes_back_field_by_field(environ, cluster, name, indexed, tmp_path, flags):
    before, export = indexed
    export(tmp_path / "out", *flags)
    done, report = index(environ, tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert (report["taken"], report["encoded"], report["skipped"]) == (6, 0, [])
    found = contents(ImageIndex(cluster, name=name))
    assert {key: document for key, (document, _) in found.items()} == {
        key: document for key, (document, _) in before.items()
    }
    mine, theirs = embedding_of(found), embedding_of(before)
    assert all(float(mine[key] @ theirs[key]) > 0.99999 for key in theirs)
    if flags:
        assert found == before
    again = json.loads(run_here(environ, "index", "--json").stdout)
    assert (again["unchanged"], again["encoded"]) == (6, 0)


@pytest.fixture
def layout(indexed, tmp_path):
    """Writes a layout as another program does: float16, paths elsewhere, in another order."""
    before, _ = indexed
    embeddings = embedding_of(before)

    def make(order=None, *, of=None, folder="/data/imgs", **columns):
        order = order or sorted(embeddings, reverse=True)
        array = np.array([embeddings[image_id] for image_id in of or order]).astype(np.float16)
        write(tmp_path / "rows", array, [f"{folder}/{image_id}" for image_id in order], **columns)
        return tmp_path / "rows"

    return make


def test_rows_of_another_program_find_their_photos_in_any_order(environ, cluster, name, indexed, layout):
    before, _ = indexed
    done, report = index(environ, layout(caption=["said", *[None] * 5]))
    assert done.exit_code == 0, done.stderr
    assert report["taken"] == 6
    found = contents(ImageIndex(cluster, name=name))
    mine, theirs = embedding_of(found), embedding_of(before)
    assert all(float(mine[key] @ theirs[key]) > 0.99999 for key in theirs)
    assert {key: document.caption for key, (document, _) in found.items() if document.caption} == {max(before): "said"}
    assert found["warm/red.png"][0].content_hash == before["warm/red.png"][0].content_hash


def test_photos_and_rows_without_each_other_are_named(environ, photos, layout):
    rows = ["warm/red.png", "warm/yellow.png", "gone.png"]
    folder = layout(rows, of=["warm/red.png", "warm/yellow.png", "cold/deep/blue.png"])
    done, report = index(environ, folder)
    assert done.exit_code == 0, done.stderr
    assert (report["taken"], report["encoded"]) == (2, 4)
    assert f"1 rows of {folder} are of no photo in {photos}: '/data/imgs/gone.png'" in done.stderr
    assert f"4 photos have no row in {folder} and are encoded: 'cold/deep/blue.png'" in done.stderr


def test_a_photo_that_has_changed_since_our_export_is_encoded(environ, photos, indexed, tmp_path):
    _, export = indexed
    export(tmp_path / "out")
    save(photos / "warm" / "red.png", colour="white")
    _, report = index(environ, tmp_path / "out")
    assert (report["taken"], report["encoded"]) == (5, 1)


def rotated(image_ids):
    return [*image_ids[1:], image_ids[0]]


def test_embeddings_of_another_model_or_of_mixed_up_rows_are_refused(environ, cluster, name, indexed, layout):
    image_ids = sorted(indexed[0])
    done, _ = index(environ, layout(image_ids, of=rotated(image_ids)))
    assert done.exit_code == 1
    assert "are not those of 'conse', or their rows are of other photos: of 6 photos" in done.stderr
    assert not cluster.client.indices.exists(index=name)


def test_embeddings_of_another_size_are_refused(environ, photos, tmp_path):
    write(tmp_path, np.eye(6, 24, dtype=np.float16), [str(path) for path in sorted(photos.rglob("*.png"))])
    done, _ = index(environ, tmp_path)
    assert done.exit_code == 1
    assert "have 24 numbers, and those of the model have 512" in done.stderr


def test_two_embeddings_of_one_photo_are_refused_and_named(environ, indexed, layout):
    image_ids = sorted(indexed[0])
    done, _ = index(environ, layout([*image_ids, image_ids[0]], of=[*image_ids, image_ids[1]]))
    assert done.exit_code == 1
    assert f"two embeddings of '{image_ids[0]}' that differ: row 0 (/data/imgs/{image_ids[0]}) and row 6" in done.stderr
    done, report = index(environ, layout([*image_ids, image_ids[0]]))
    assert (done.exit_code, report["taken"]) == (0, 6)


def test_the_model_has_to_be_named(environ, layout):
    done, _ = index({**environ, "IMAGE_MODEL": "auto"}, layout())
    assert done.exit_code == 1
    assert "Name the model that made these embeddings: IMAGE_MODEL=" in done.stderr


@pytest.mark.parametrize("flags", [("--watch",), ("--part", "1/2"), ("--discard-rebuild",), ("--to", "parquet", "x")])
def test_flags_that_do_not_fit_are_refused(environ, tmp_path, flags):
    assert run_here(environ, "index", "--from", "npy", str(tmp_path), *flags).exit_code == 2
