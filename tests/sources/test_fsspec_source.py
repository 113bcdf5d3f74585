"""Photos in other file systems, by fsspec."""

import fsspec
import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import CorpusError, SettingError
from image_embeddings.sources.choice import source_of
from image_embeddings.sources.fsspec_source import FsspecSource, _nanoseconds
from image_embeddings.sources.passed_over import PassedOver


def test_the_settings_choose_a_file_system_of_fsspec(tmp_path):
    system = fsspec.filesystem("memory")
    system.pipe_file(f"/{tmp_path.name}/a.jpg", b"x")
    settings = load_settings({"IMAGE_DIR": f"memory://{tmp_path.name}/"})
    source = source_of(settings.image_dir, settings)
    source.check()
    (file,) = source.list_photos(skip=pytest.fail, passed=PassedOver())
    assert (type(source), file.image_id, file.bytes) == (FsspecSource, "a.jpg", 1)
    assert file.mtime_ns > 10**18
    system.rm(f"/{tmp_path.name}", recursive=True)


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CorpusError, match="There is no folder memory://none-"):
        FsspecSource(f"memory://none-{tmp_path.name}").check()


@pytest.mark.parametrize("address", ["gs://bucket/photos", "sftp://host/photos"])
def test_a_missing_driver_is_named(address):
    with pytest.raises(SettingError, match=r"needs a driver of fsspec: .*"):
        FsspecSource(address).check()


def test_a_scheme_that_nobody_knows_is_refused():
    with pytest.raises(SettingError, match="is no address that can be used"):
        FsspecSource("gopher://host/photos").check()


@pytest.mark.parametrize("time", ["2024-05-01T12:00:00Z", "2024-05-01T12:00:00+00:00", 1714564800, 1714564800.0])
def test_times_of_all_drivers_are_nanoseconds(time):
    assert _nanoseconds(time) == 1714564800 * 10**9
