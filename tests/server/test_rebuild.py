"""A new index is filled beside the one that answers, and replaces it in one step."""

import collections
import dataclasses
import itertools
import shutil
import threading

import pytest

from app import create_app
from image_embeddings import open_index
from image_embeddings.config import load_settings
from image_embeddings.documents import Embeddings
from image_embeddings.errors import CorpusError, IndexMissingError, ModelMismatchError
from image_embeddings.es import copies
from image_embeddings.indexing import plan, rebuilds, runs
from image_embeddings.search.image_search import ImageSearch
from image_embeddings.sources import reading
from tests.fakes import ColourEncoder, RecordedProgress
from tests.pictures import save
from tests.server.filling import fill
from tests.tiny_models import make_clip_folder

pytestmark = pytest.mark.server


class OtherColourEncoder(ColourEncoder):
    """An encoder of another model, with more dims."""

    dims = 8

    def __init__(self):
        super().__init__(model_id="other")

    def _embed_images(self, images) -> Embeddings:
        return super()._embed_images(images).repeat(2, axis=1)

    def _embed_texts(self, texts) -> Embeddings:
        return super()._embed_texts(texts).repeat(2, axis=1)


MODEL = ColourEncoder().info
ENCODERS = {"colour": ColourEncoder, "other": OtherColourEncoder}


def test_no_search_fails_while_an_index_is_rebuilt_with_another_model(index, tmp_path):
    fill(index, tmp_path)
    search = ImageSearch(index, encoder_for=lambda model: ENCODERS[model.model_id]())
    done, models, failures = threading.Event(), set(), []

    def keep_searching():
        for number in itertools.count():
            result = search.by_text("red") if number % 2 else search.like("warm/red.png")
            models.add(result.model_id)
            if len(result.hits) != 5 + number % 2:
                failures.append(result)
            if done.is_set() and number > 10:
                return

    threads = [threading.Thread(target=keep_searching) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        for encoder in (OtherColourEncoder(), ColourEncoder()):
            made = index.begin_rebuild(model=encoder.info, vector_index_type="int8_hnsw")
            fill(index.rebuild, tmp_path, encoder=encoder)
            index.finish_rebuild(made.backing_index)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert models == {"colour", "other"}


def test_the_old_index_is_gone_when_the_new_one_serves(index, cluster, tmp_path):
    fill(index, tmp_path)
    older = index.state().backing_index
    made = index.begin_rebuild(model=OtherColourEncoder().info, vector_index_type="flat")
    fill(index.rebuild, tmp_path, encoder=OtherColourEncoder())
    index.finish_rebuild(made.backing_index)
    assert index.state().model.model_id == "other"
    assert not cluster.client.indices.exists(index=older)
    with pytest.raises(IndexMissingError):
        index.rebuild.state()


def settings_of(cluster, index):
    (made,) = cluster.client.indices.get_settings(index=index.name).body.values()
    return made["settings"]["index"]


def test_a_rebuild_is_filled_without_copies_and_refreshes_and_serves_with_both(index, cluster, tmp_path):
    made = index.begin_rebuild(model=MODEL, vector_index_type="int8_hnsw", shards=2)
    filled = settings_of(cluster, index.rebuild)
    assert (filled["number_of_shards"], filled["number_of_replicas"], filled["refresh_interval"]) == ("2", "0", "-1")
    fill(index.rebuild, tmp_path)
    said = []
    index.finish_rebuild(made.backing_index, notify=said.append)
    serving = settings_of(cluster, index)
    assert (serving["auto_expand_replicas"], serving["number_of_shards"]) == ("0-1", "2")
    assert (serving.get("refresh_interval"), said, index.count()) == (None, [], 6)


def test_a_rebuild_serves_without_the_copies_that_no_node_can_take(index, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "LOOK_SECONDS", 1)
    made = index.begin_rebuild(model=MODEL, vector_index_type="int8_hnsw")
    fill(index.rebuild, tmp_path)
    said = []
    index.finish_rebuild(made.backing_index, replicas=2, notify=said.append)
    assert (index.state().backing_index, settings_of(cluster, index)["number_of_replicas"]) == (made.backing_index, "2")
    assert [line.partition(".")[0] for line in said] == ["2 copies of the new index are missing"]


# By settings, as the command does it


def test_an_index_is_made_as_the_settings_say(settings, cluster):
    settings = dataclasses.replace(settings, index_shards=2, index_replicas=0)
    run(settings)
    made = settings_of(cluster, open_index(settings))
    assert (made["number_of_shards"], made["number_of_replicas"]) == ("2", "0")
    run(dataclasses.replace(settings, index_shards=3, index_replicas=None), rebuild=True)
    made = settings_of(cluster, open_index(settings))
    assert (made["number_of_shards"], made["auto_expand_replicas"]) == ("3", "0-1")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [str(make_clip_folder(folder / name, seed=seed)) for seed, name in enumerate(("first", "second"))]


@pytest.fixture
def settings(elasticsearch_url, name, models, photos, tmp_path):
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "IMAGE_MODEL": models[0]}
    return load_settings({**environ, "IMAGE_DIR": str(photos), "DATA_DIR": str(tmp_path / "data")})


def run(settings, **choices):
    return runs.index_photos(settings, progress=RecordedProgress, **choices)


def model_of(settings):
    return open_index(settings).state().model.model_id


def test_a_rebuild_that_is_stopped_keeps_the_old_index_and_continues_later(settings, models):
    run(settings)
    other = dataclasses.replace(settings, image_model=models[1])
    many = settings.image_dir
    for number in range(100):
        save(many / "more" / f"{number}.png", colour=(number, 0, 0))
    polls = itertools.count()
    report = run(other, rebuild=True, stopped=lambda: next(polls) > 70)
    assert report.stopped
    assert (model_of(settings), open_index(settings).count()) == ("first", 6)
    rest = run(other, rebuild=True)
    assert (rest.unchanged, rest.encoded) == (report.encoded, 106 - report.encoded)
    assert (model_of(settings), open_index(settings).count()) == ("second", 106)


def test_a_rebuild_is_not_continued_with_another_model(settings, models):
    run(settings)
    run(settings, rebuild=True, stopped=lambda: True)
    other = dataclasses.replace(settings, image_model=models[1])
    with pytest.raises(ModelMismatchError, match=r"IMAGE_MODEL=first .*--discard-rebuild"):
        run(other, rebuild=True)
    assert rebuilds.discard_rebuild(settings)
    assert not rebuilds.discard_rebuild(settings)
    run(other, rebuild=True)
    assert model_of(settings) == "second"


def test_a_rebuild_that_could_read_no_photo_keeps_the_old_index(settings):
    run(settings)
    for photo in settings.image_dir.rglob("*.png"):
        photo.write_bytes(b"damaged")
    assert len(run(settings, rebuild=True).skipped) == 6
    assert open_index(settings).count() == 6
    assert rebuilds.discard_rebuild(settings)


def test_an_ordinary_run_leaves_an_unfinished_rebuild_alone(settings):
    run(settings)
    run(settings, rebuild=True, stopped=lambda: True)
    assert run(settings).unchanged == 6
    assert open_index(settings).rebuild.state().model.model_id == "first"
    rebuilds.discard_rebuild(settings)


PATHS = ["/", "/image_search?q=red", "/api/v1/search?q=red", "/api/v1/search?like=warm/red.png"]


def test_the_web_app_answers_during_a_rebuild(settings):
    run(settings)
    app = create_app(settings)
    done, answers = threading.Event(), []

    def keep_asking():
        client = app.test_client()
        for path in itertools.cycle(PATHS):
            answers.append((path, client.get(path).status_code))
            if done.is_set() and len(answers) > 40:
                return

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    for vector_index_type in ("flat", "hnsw", "int8_hnsw"):
        run(dataclasses.replace(settings, vector_index_type=vector_index_type), rebuild=True)
    done.set()
    for thread in threads:
        thread.join()
    assert collections.Counter(answer for answer in answers if answer[1] != 200) == {}
    assert {path for path, _ in answers} == set(PATHS)


# Mistakes that must not destroy the index that serves


def test_a_rebuild_of_a_folder_that_lacks_most_photos_is_refused(settings, tmp_path, monkeypatch):
    run(settings)
    monkeypatch.setattr(plan, "FREE_TO_DELETE", 0)
    other = dataclasses.replace(settings, image_dir=tmp_path / "other")
    save(other.image_dir / "one.png", colour=(1, 2, 3))
    for choices in ({"rebuild": True}, {}):
        with pytest.raises(
            CorpusError, match=r"holds 6 photos, of .*photos, and most of them, by name and size, are not in"
        ):
            run(other, **choices)
    shutil.rmtree(settings.image_dir / "warm")
    shutil.rmtree(settings.image_dir / "cold")
    save(settings.image_dir / "one.png", colour=(1, 2, 3))
    with pytest.raises(CorpusError, match="lacks 6 of the 6 indexed photos"):
        run(settings, rebuild=True)
    with pytest.raises(IndexMissingError):
        open_index(settings).rebuild.state()
    assert open_index(settings).count() == 6
    report = run(settings, rebuild=True, prune=True)
    assert (report.waiting, report.deleted) == ("", 6)
    assert open_index(settings).count() == 1


def test_a_rebuild_that_could_not_read_photos_of_the_old_index_waits(settings, monkeypatch):
    run(settings)
    old = open_index(settings).state().backing_index
    load = reading.load

    def drive_goes(file, folder):
        if file.image_id.startswith("warm"):
            raise CorpusError(f"{file.image_id} cannot be opened (Input/output error): look after its drive.")
        return load(file, folder)

    with monkeypatch.context() as away:
        away.setattr(reading, "load", drive_goes)
        report = run(settings, rebuild=True)
    assert (report.indexed, len(report.skipped)) == (3, 3)
    assert "it holds 3 photos that could not be read or written now, such as 'warm/magenta.png'" in report.waiting
    go_on = f"To go on with it: index {settings.image_dir} --rebuild. To give it up: index --discard-rebuild."
    assert go_on in report.waiting
    assert open_index(settings).state().backing_index == old
    said = []
    runs.index_photos(settings, progress=RecordedProgress, notify=said.append)
    assert f"A rebuild of this index is unfinished. {go_on}" in said
    report = run(settings, rebuild=True)
    assert (report.unchanged, report.encoded, report.waiting) == (3, 3, "")
    assert open_index(settings).state().backing_index != old


def test_a_file_that_is_no_photo_any_more_does_not_stop_a_rebuild(settings):
    run(settings)
    (settings.image_dir / "warm" / "red.png").write_bytes(b"no photo")
    report = run(settings, rebuild=True)
    assert (report.waiting, report.deleted) == ("", 1)
    assert open_index(settings).count() == 5
