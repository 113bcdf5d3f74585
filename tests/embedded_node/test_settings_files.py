import pytest
import yaml

from image_embeddings import errors
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.embedded_node.settings_files import check_version, make_folders, write_settings
from image_embeddings.embedded_node.state import read_json, write_json
from tests.embedded_node.test_jars import no_network


def test_data_of_a_newer_version_is_left_alone(tmp_path):
    write_json(tmp_path / "node.json", {"version": "10.0.0", "http_port": 20001})
    with pytest.raises(errors.NodeDataError, match=r"10\.0\.0, which is newer .* ES_HOST"):
        EmbeddedNode(tmp_path, fetch_jars=no_network).start()


@pytest.mark.parametrize("version", ["9.5.3", "9.5.2", "8.19.0", "9.5.3-SNAPSHOT"])
def test_data_of_this_version_or_an_older_one_is_used(tmp_path, version):
    write_json(tmp_path / "node.json", {"version": version})
    check_version(tmp_path)


def test_the_node_listens_on_this_machine_only_and_keeps_its_data_in_its_folder(tmp_path):
    home = tmp_path / "a: 'b' #c"
    home.mkdir()
    make_folders(home)
    write_settings(home, http_port=20001)
    written = yaml.safe_load((home / "config" / "elasticsearch.yml").read_text())
    assert (written["network.host"], written["http.port"]) == ("127.0.0.1", 20001)
    assert (written["path.data"], written["path.logs"]) == (str(home / "data"), str(home / "logs"))
    assert read_json(home / "node.json") == {"version": VERSION}
    assert (home / "modules" / "guarded-network").is_dir()
