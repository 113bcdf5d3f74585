import pytest
import yaml

from image_embeddings import errors
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.embedded_node.settings_files import check_version, write_files
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
    write_files(home)
    written = yaml.safe_load((home / "config" / "elasticsearch.yml").read_text())
    assert written["network.host"] == "127.0.0.1"
    assert (written["path.data"], written["path.logs"]) == (str(home / "data"), str(home / "logs"))
    assert read_json(home / "node.json") == {"version": VERSION}
    assert (home / "modules" / "guarded-network").is_dir()


def test_a_node_that_reads_its_files_while_they_are_written_again_reads_them_whole(tmp_path):
    write_files(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    opened = [file.open("rb") for file in files]
    contents = [file.read_bytes() for file in files]
    write_files(tmp_path)
    assert len(files) == 5
    assert [file.read_bytes() for file in files] == contents
    for file, content in zip(opened, contents, strict=True):
        with file:
            assert file.read() == content
