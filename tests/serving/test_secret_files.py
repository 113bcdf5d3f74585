import os
import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from image_embeddings.errors import DataDirError
from image_embeddings.serving.secret_files import keep_key, keep_secret


def keep(path, secret="secret"):
    return keep_secret(path, lambda: secret, is_sound=lambda kept: kept.startswith("secret"))


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "data" / "key"
    assert keep(path) == ("secret", True)
    assert mode_of(path) == 0o600
    assert keep(path, "secret 2") == ("secret", False)


def test_the_mode_does_not_depend_on_the_umask(tmp_path):
    before = os.umask(0)
    try:
        keep(tmp_path / "key")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "key") == 0o600


@pytest.mark.parametrize("kept", [b"", b"\n", b"garbage", b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_made_anew(tmp_path, kept):
    (tmp_path / "key").write_bytes(kept)
    assert keep(tmp_path / "key") == ("secret", True)
    assert keep(tmp_path / "key") == ("secret", False)
    assert mode_of(tmp_path / "key") == 0o600


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    (tmp_path / "key").write_text("secret of before\n")
    (tmp_path / "key").chmod(0o644)
    assert keep(tmp_path / "key") == ("secret of before", False)
    assert mode_of(tmp_path / "key") == 0o600


@pytest.mark.parametrize("kept", [None, "garbage"])
def test_all_who_come_at_the_same_time_get_the_same_secret(tmp_path, kept):
    path, numbers = tmp_path / "key", count()
    if kept:
        path.write_text(kept)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: keep(path, f"secret {next(numbers)}"), range(40)))
    assert len({secret for secret, _ in found}) == 1
    assert [is_new for _, is_new in found].count(True) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_place_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataDirError, match=r"can be neither read nor made \(Not a directory\)"):
        keep(tmp_path / "data" / "key")


def test_a_key_is_32_random_bytes_and_a_damaged_one_is_made_anew(tmp_path):
    key = keep_key(tmp_path / "key")
    assert len(bytes.fromhex(key)) == 32
    assert keep_key(tmp_path / "key") == key
    (tmp_path / "key").write_text(key[:-1])
    assert keep_key(tmp_path / "key") not in (key, keep_key(tmp_path / "other"))
