import hashlib
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from image_embeddings import errors
from image_embeddings.config import ROOT
from image_embeddings.embedded_node.jars import VERSION, fetch_from_maven, install_jars, read_coordinates, read_hashes
from image_embeddings.embedded_node.node import EmbeddedNode


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
