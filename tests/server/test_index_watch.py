"""`index --watch` as people run it: the index follows the folder, until Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from image_embeddings.es.image_index import ImageIndex
from tests.pictures import save
from tests.waiting import LONG, wait_for

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]


class Watching:
    """A running `index --watch`, and its output."""

    def __init__(self, process, out, err):
        self.process, self._out, self._err = process, out, err

    @property
    def out(self):
        return self._out.read_text().splitlines()

    @property
    def err(self):
        return self._err.read_text()

    def end(self, number):
        """Send that signal and return the exit status; fail if a process is left."""
        self.process.send_signal(number)
        status = self.process.wait(LONG)
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)
        return status


@pytest.fixture
def watching(elasticsearch_url, cluster, name, photos, networks, tmp_path):
    """Start the command with further flags, and wait until it watches; its DATA_DIR is inside the folder."""
    data_dir = photos / "data"
    data_dir.mkdir()
    (data_dir / "networks").symlink_to(networks)
    environ = {
        **os.environ,
        "ES_HOST": elasticsearch_url,
        "INDEX_NAME": name,
        "DATA_DIR": str(data_dir),
        "IMAGE_DIR": str(photos),
        "IMAGE_MODEL": "conse",
    }
    started = []

    def start(*flags):
        out, err = tmp_path / "out", tmp_path / "err"
        command = [sys.executable, "-m", "image_embeddings", "index", "--watch", *flags]
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=stdout, stderr=stderr, start_new_session=True
            )
        started.append(process)
        watching = Watching(process, out, err)
        wait_for(lambda: "Ctrl-C ends it" in watching.err)
        return watching

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def follows(cluster, name, photos):
    """Return as soon as the index holds exactly the photos of the folder."""
    index = ImageIndex(cluster, name=name)

    def on_disk():
        files = {path: path.stat() for path in photos.rglob("*.png")}
        return {path.relative_to(photos).as_posix(): (f.st_size, f.st_mtime_ns) for path, f in files.items()}

    def indexed():
        return {image_id: (state.bytes, state.mtime_ns) for image_id, state in index.documents.file_states().items()}

    return lambda: wait_for(lambda: indexed() == on_disk())


def test_the_index_follows_the_folder_until_ctrl_c(watching, follows, photos):
    watch = watching()
    assert "6 encoded" in watch.out[0]
    follows()
    save(photos / "new" / "white.png", colour="white")
    (photos / "warm" / "red.png").rename(photos / "rot.png")
    save(photos / "warm" / "yellow.png", colour="black", size=(9, 9))
    (photos / "cold" / "deep" / "blue.png").unlink()
    follows()
    (photos / "cold").rename(photos / "new" / "kalt")
    follows()
    save(photos / "new" / "kalt" / "grey.png", colour="grey")
    follows()
    wait_for(lambda: ": 7 photos" in watch.out[-1])  # the last run is over
    assert watch.end(signal.SIGINT) == 0
    assert "no longer" in watch.err
    assert "Traceback" not in watch.err


def test_json_has_a_line_for_each_run_that_did_something(watching, follows, photos, tmp_path):
    csv = tmp_path / "photos.csv"
    csv.write_text("file,label\n")
    watch = watching("--json", "--metadata", str(csv))
    csv.write_text("file,label\nwarm/red.png,colour\n")
    wait_for(lambda: len(watch.out) == 2)
    (tmp_path / "bad.jpg").write_text("no photo")
    (tmp_path / "bad.jpg").rename(photos / "bad.jpg")
    wait_for(lambda: len(watch.out) == 3)
    save(tmp_path / "new.png", colour="white").rename(photos / "new.png")
    wait_for(lambda: len(watch.out) == 4)
    follows()
    reports = [json.loads(line) for line in watch.out]
    assert [report["encoded"] for report in reports] == [6, 0, 0, 1]
    assert [report["described"] for report in reports] == [0, 1, 0, 0]
    assert [len(report["skipped"]) for report in reports] == [0, 0, 1, 0]  # reported once
    assert watch.end(signal.SIGTERM) == 0


def test_a_drive_that_is_away_for_a_while_does_not_empty_the_index(watching, photos, cluster, name):
    watch = watching("--prune")
    photos.rename(photos.with_name("away"))
    photos.mkdir()  # a drive that is gone leaves an empty folder
    wait_for(lambda: "There are no photos" in watch.err)
    photos.rename(photos.with_name("empty"))
    photos.with_name("away").rename(photos)
    wait_for(lambda: "has passed" in watch.err)
    assert ImageIndex(cluster, name=name).count() == 6
    assert watch.end(signal.SIGINT) == 0
