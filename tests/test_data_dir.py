"""Who may read DATA_DIR."""

import os
import stat

import pytest

from image_embeddings.assembly import data_dir_warning
from image_embeddings.config import SAMPLE_PHOTOS, load_settings
from image_embeddings.data_dir import make_data_dir, others_may_enter
from image_embeddings.embedded_node.folder import hold_start_lock
from image_embeddings.errors import CorpusError
from image_embeddings.indexing.last_failure import note_errors


def mode_of(folder):
    return stat.S_IMODE(folder.stat().st_mode)


@pytest.fixture
def open_place(tmp_path):
    """A folder that every user may enter, with all that are above it; they get their modes back."""
    before = [(folder, mode_of(folder)) for folder in (tmp_path, *tmp_path.parents)]
    for folder, mode in before:
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
    yield tmp_path
    for folder, mode in before:
        if mode_of(folder) != mode:
            folder.chmod(mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_it_is_made_for_its_user_alone(tmp_path, mask):
    kept = os.umask(mask)
    try:
        make_data_dir(tmp_path / "a" / "data")
    finally:
        os.umask(kept)
    assert mode_of(tmp_path / "a" / "data") == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o2770])
def test_a_folder_of_the_users_own_keeps_its_mode(tmp_path, mode):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    make_data_dir(tmp_path / "data")
    assert mode_of(tmp_path / "data") == mode


def test_a_file_in_its_place_is_an_error_of_what_is_written_there(tmp_path):
    (tmp_path / "data").write_text("")
    make_data_dir(tmp_path / "data")
    with pytest.raises(OSError, match=r"exists|Not a directory"):
        make_data_dir(tmp_path / "data" / "deeper")


def test_the_first_that_writes_there_makes_it_private(tmp_path):
    settings = load_settings({"DATA_DIR": str(tmp_path / "noted")})
    with pytest.raises(CorpusError), note_errors(settings):
        raise CorpusError("no photos")
    assert mode_of(tmp_path / "noted") == 0o700
    with hold_start_lock(tmp_path / "node" / "elasticsearch"):
        assert mode_of(tmp_path / "node") == 0o700


@pytest.mark.parametrize(("mode", "told"), [(0o755, True), (0o711, True), (0o750, False), (0o700, False)])
def test_a_warning_names_the_remedy_if_everybody_may_enter(open_place, mode, told):
    data = open_place / "data"
    data.mkdir()
    data.chmod(mode)
    warning = data_dir_warning(data, photos=open_place)
    assert (f"chmod 700 '{data}'" in warning) is told
    assert "\n" not in warning
    assert data_dir_warning(data, photos=SAMPLE_PHOTOS) == ""


def test_a_folder_inside_a_private_one_is_private(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "data").mkdir()
    (tmp_path / "home").chmod(0o700)
    assert not others_may_enter(tmp_path / "home" / "data")


def test_there_is_no_warning_before_the_folder_exists(open_place):
    assert data_dir_warning(open_place / "data", photos=open_place) == ""
