import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.web.keys import FILE, signing_key
from image_embeddings.config import ROOT, load_settings
from tests.waiting import LONG

PRINT_KEY = """
import sys
from pathlib import Path
from app.web.keys import signing_key
from image_embeddings.config import load_settings
print(signing_key(load_settings({}, data_dir=Path(sys.argv[1])), "test").hex())
"""


def settings_in(folder, **environ):
    return load_settings(environ, data_dir=folder)


def test_the_key_is_kept_and_only_its_owner_can_read_it(tmp_path):
    key = signing_key(settings_in(tmp_path / "data"), "test")
    assert len(key) == 32
    assert signing_key(settings_in(tmp_path / "data"), "test") == key
    assert stat.S_IMODE((tmp_path / "data" / FILE).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE]


def test_keys_differ_by_purpose_and_by_folder(tmp_path):
    folders = [settings_in(tmp_path / name) for name in "ab"]
    keys = {signing_key(folder, purpose) for folder in folders for purpose in ("one", "other")}
    assert len(keys) == 4


def test_secret_key_makes_the_same_key_everywhere_and_leaves_no_file(tmp_path):
    keys = {signing_key(settings_in(tmp_path / name, SECRET_KEY="a secret"), "test") for name in "ab"}
    assert len(keys) == 1
    assert b"a secret" not in keys.pop()
    assert list(tmp_path.iterdir()) == []


def test_processes_that_begin_at_the_same_time_get_the_same_key(tmp_path):
    command = [sys.executable, "-c", PRINT_KEY, str(tmp_path / "data")]
    begun = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({process.communicate(timeout=LONG)[0] for process in begun}) == 1


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_damaged_key_is_made_anew(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    assert signing_key(settings_in(tmp_path), "test") == signing_key(settings_in(tmp_path), "test")


def test_without_a_place_for_the_key_there_is_one_all_the_same(caplog):
    settings = settings_in(Path("/proc/nothing"))
    assert signing_key(settings, "test") != signing_key(settings, "test")
    assert "No key can be kept in /proc/nothing/signing-key" in caplog.text
