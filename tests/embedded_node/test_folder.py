import stat
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import pytest
from filelock import FileLock, Timeout

from image_embeddings import errors
from image_embeddings.embedded_node.folder import hold_start_lock, wait_until_released
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.embedded_node.state import LOCK_NAME
from tests.waiting import LONG


def test_a_home_that_is_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "home").touch()
    with pytest.raises(errors.NodeStartError, match=r"home.* DATA_DIR"):
        EmbeddedNode(tmp_path / "home").start()


def test_nobody_else_can_read_the_folder(tmp_path):
    home = tmp_path / "data" / "elasticsearch"
    home.mkdir(parents=True, mode=0o755)
    with hold_start_lock(home):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_one_command_starts_or_stops_the_node_at_a_time(tmp_path):
    with hold_start_lock(tmp_path), pytest.raises(Timeout):
        FileLock(tmp_path / "start.lock").acquire(timeout=0)
    with hold_start_lock(tmp_path):
        assert (tmp_path / "start.lock").exists()


def test_a_folder_that_a_node_still_holds_is_waited_for(tmp_path):
    held = FileLock(tmp_path / LOCK_NAME)
    held.acquire()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait_until_released, tmp_path)
        with pytest.raises(FutureTimeout):
            waiting.result(timeout=0.2)
        held.release()
        waiting.result(timeout=LONG)
