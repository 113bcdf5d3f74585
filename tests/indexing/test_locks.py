"""The lock that keeps two runs of one machine apart. Those between machines: server/test_run_lock.py."""

import os
import socket

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import IndexBusyError
from image_embeddings.indexing.locks import lock_machine


@pytest.fixture
def settings(tmp_path):
    return load_settings({"INDEX_NAME": "trips", "DATA_DIR": str(tmp_path)})


def hold_twice(settings):
    with lock_machine(settings):
        pytest.fail("two runs at once")


def test_a_second_run_says_which_one_is_under_way(settings):
    said = (
        rf"into 'trips': process {os.getpid()} on {socket.gethostname()}, since \d{{4}}-\d\d-\d\d [\d:]{{8}} UTC\. Wait"
    )
    with lock_machine(settings), pytest.raises(IndexBusyError, match=said):
        hold_twice(settings)


def test_a_run_that_has_not_said_who_it_is_keeps_others_out_too(settings, tmp_path):
    with lock_machine(settings):
        (said,) = tmp_path.glob("index-*.run")
        said.unlink()
        with pytest.raises(IndexBusyError, match="into 'trips' just now"):
            hold_twice(settings)


def test_an_ended_run_leaves_nothing_that_names_it(settings, tmp_path):
    for _ in range(2):
        with lock_machine(settings):
            pass
    assert [path.suffix for path in tmp_path.iterdir()] in ([".lock"], [])


def test_each_index_has_a_lock_of_its_own(settings, tmp_path):
    other = load_settings({"INDEX_NAME": "home", "DATA_DIR": str(tmp_path)})
    with lock_machine(settings), lock_machine(other):
        assert len(list(tmp_path.glob("index-*.run"))) == 2
