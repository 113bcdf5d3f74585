"""Several runs of one Indexing: some data is kept from run to run, some is read anew."""

import dataclasses
import shutil

import pytest

from image_embeddings import open_index
from image_embeddings.config import load_settings
from image_embeddings.errors import IndexBusyError, ModelMismatchError
from image_embeddings.indexing.runs import Indexing, RunChoices, index_photos
from tests.fakes import RecordedProgress
from tests.pictures import save
from tests.tiny_models import make_clip_folder

pytestmark = pytest.mark.server


@pytest.fixture
def settings(elasticsearch_url, name, photos, tmp_path):
    model = make_clip_folder(tmp_path / "tiny-clip")
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "IMAGE_MODEL": str(model)}
    return load_settings({**environ, "IMAGE_DIR": str(photos), "DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
def runs(settings, tmp_path):
    return Indexing(settings, metadata=tmp_path / "photos.csv")


@pytest.fixture
def say(tmp_path):
    """Write the metadata file."""

    def write(*lines):
        (tmp_path / "photos.csv").write_text("\n".join(["file,label", *lines]))

    write()
    return write


def run(runs, **choices):
    return runs.run(RunChoices(**choices), progress=RecordedProgress)


def test_the_model_is_loaded_once(runs, settings, say):
    run(runs)
    shutil.rmtree(settings.image_model)
    save(settings.image_dir / "new.png", colour="white")
    assert run(runs).encoded == 1


def test_another_model_in_the_index_is_noticed(runs, settings, say, tmp_path):
    run(runs)
    other = dataclasses.replace(settings, image_model=str(make_clip_folder(tmp_path / "other-clip", seed=5)))
    index_photos(other, rebuild=True, progress=RecordedProgress)
    with pytest.raises(ModelMismatchError):
        run(runs)


def test_the_metadata_file_is_read_anew_and_only_new_data_is_written(runs, settings, say):
    say("warm/red.png,colour")
    assert (run(runs).encoded, run(runs).described) == (6, 0)
    say("warm/red.png,colour", "warm/yellow.png,colour")
    assert (run(runs).described, run(runs).described) == (1, 0)
    say("warm/red.png,warm", "warm/yellow.png,colour")
    assert run(runs).described == 1
    assert open_index(settings).documents.get("warm/red.png").label == "warm"


def test_the_data_is_written_again_into_an_index_that_was_built_anew_meanwhile(runs, settings, say):
    say("warm/red.png,colour")
    run(runs)
    index_photos(settings, rebuild=True, progress=RecordedProgress)
    assert run(runs).described == 1


def test_a_photo_that_changes_keeps_the_data_of_the_file(runs, settings, say):
    say("warm/red.png,colour")
    run(runs)
    save(settings.image_dir / "warm" / "red.png", colour="white", size=(9, 9))
    say("warm/red.png,white")
    assert (run(runs).encoded, run(runs).described) == (1, 0)
    assert open_index(settings).documents.get("warm/red.png").label == "white"


def test_a_rebuild_is_followed_by_ordinary_runs(runs, settings, say):
    run(runs)
    assert run(runs, rebuild=True).encoded == 6
    save(settings.image_dir / "new.png", colour="white")
    report = run(runs)
    assert (report.encoded, report.unchanged) == (1, 6)


def test_a_run_during_another_one_is_refused(settings):
    def another(total):
        index_photos(settings, progress=RecordedProgress)

    with pytest.raises(IndexBusyError, match=rf"'{settings.index_name}': process \d+ on"):
        index_photos(settings, progress=another)
