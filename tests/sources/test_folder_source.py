"""A folder of this machine as a source of photos."""

import os
import pickle

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import CorpusError
from image_embeddings.sources.choice import source_of
from image_embeddings.sources.folder_source import FolderSource
from image_embeddings.sources.passed_over import PassedOver
from tests.pictures import colour_photos, save


@pytest.fixture
def source(tmp_path):
    """The six colour photos as a source."""
    return FolderSource(colour_photos(tmp_path / "photos"))


def listed(source):
    return list(source.list_photos(skip=pytest.fail, passed=PassedOver()))


def test_the_settings_say_what_is_left_out(tmp_path):
    settings = load_settings({"EXCLUDE": "warm"}, image_dir=tmp_path / "photos", data_dir=tmp_path / "photos" / "data")
    save(colour_photos(settings.image_dir) / "data" / "thumbnail.png", colour="red")
    found = {file.image_id for file in listed(source_of(settings.image_dir, settings))}
    assert found == {"cold/deep/blue.png", "cold/deep/cyan.png", "cold/deep/green.png"}


def test_a_photo_is_found_and_opened_with_the_state_that_a_list_shows(source):
    for file in listed(source):
        assert source.find(file.image_id) == file
        with source.open(file) as content:
            assert content.read() == source.read(file).data == (source.folder / file.image_id).read_bytes()


def test_the_version_of_a_photo_differs_after_each_change(source):
    path, seen = source.folder / "warm" / "red.png", [source.find("warm/red.png").version]
    for change in (
        lambda: os.utime(path, ns=(1, 1)),
        lambda: path.write_bytes(b"x"),
        lambda: os.utime(path, ns=(2, 2)),
    ):
        change()
        seen.append(source.find("warm/red.png").version)
    assert len({*seen}) == 4


@pytest.mark.parametrize("image_id", ["warm", "none.png", "../photos/warm/red.png", "", "/", "nul\0.jpg"])
def test_what_is_no_photo_of_the_folder_is_not_found(source, image_id):
    assert source.find(image_id) is None
    assert source.is_known_to_lack(image_id)


def test_nothing_is_known_of_the_photos_of_a_drive_that_is_not_mounted(source, tmp_path):
    assert not source.is_known_to_lack("warm/red.png")
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "missing"):
        assert not FolderSource(tmp_path / folder).is_known_to_lack("warm/red.png")


def test_a_photo_that_went_between_find_and_open_is_named(source):
    file = source.find("warm/red.png")
    (source.folder / "warm" / "red.png").unlink()
    with pytest.raises(CorpusError, match=r"^warm/red\.png cannot be opened \(No such file"):
        source.open(file)


def test_a_source_can_be_sent_to_another_process(source):
    assert pickle.loads(pickle.dumps(source)) == source
