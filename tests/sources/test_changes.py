"""Changes below a folder: reported by the real system here, or found by looking."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from image_embeddings.sources.changes import FolderWatch, Pace
from image_embeddings.sources.drives import shared_drive
from image_embeddings.sources.system_events import system_events
from tests.pictures import colour_photos, save
from tests.waiting import LONG

ROOT = Path(__file__).parents[2]
PACE = Pace(quiet=0.2, restless=LONG, glance=0.05, look=0.05)


@pytest.fixture
def photos(tmp_path):
    return colour_photos(tmp_path / "photos")


@pytest.fixture
def watch(photos):
    with FolderWatch(photos, pace=PACE) as watch:
        yield watch


def refused(number):
    """A stand-in for a system that reports no changes because it lacks something."""

    def events(folders):
        raise OSError(number, os.strerror(number))
        yield

    return events


@pytest.fixture(params=["told", "found"])
def make_events(request):
    """A system that reports changes, and one that does not, so that the watch has to look for them."""
    return system_events if request.param == "told" else refused(errno.ENOSPC)


@pytest.fixture
def either_watch(photos, make_events):
    """A watch that gets reports of changes, and one that has to look for them."""
    with FolderWatch(photos, pace=PACE, make_events=make_events) as watch:
        yield watch


def check_goes_on(folder, watch):
    """Check that a photo that comes after the watch has settled is noticed."""
    watch.settle()
    save(folder / "new.png", colour="white")
    assert watch.wait(LONG)


def move_in(folder):
    colour_photos(folder.parent / "elsewhere")
    (folder.parent / "elsewhere").rename(folder / "new")


CHANGES = {
    "a new photo": lambda folder: save(folder / "new.png", colour="white"),
    "a new photo in a new folder": lambda folder: save(folder / "new" / "newer" / "new.png", colour="white"),
    "a photo altered": lambda folder: save(folder / "warm" / "red.png", colour="white", size=(9, 9)),
    "a photo touched": lambda folder: os.utime(folder / "warm" / "red.png"),
    "a photo renamed": lambda folder: (folder / "warm" / "red.png").rename(folder / "rot.png"),
    "a photo moved out": lambda folder: (folder / "warm" / "red.png").rename(folder.parent / "red.png"),
    "a photo deleted": lambda folder: (folder / "cold" / "deep" / "blue.png").unlink(),
    "a sidecar added": lambda folder: (folder / "warm" / "red.png.xmp").write_text("<x/>"),
    "an export added": lambda folder: (folder / "warm" / "red.png.supplemental-met.json").write_text("{}"),
    "a sidecar altered": lambda folder: (folder / "warm" / "yellow.xmp").write_text("<y/>"),
    "a sidecar removed": lambda folder: (folder / "warm" / "yellow.xmp").unlink(),
    "a folder renamed": lambda folder: (folder / "cold").rename(folder / "kalt"),
    "a folder moved in": move_in,
    "a folder moved out": lambda folder: (folder / "cold").rename(folder.parent / "cold"),
    "a hidden photo shown": lambda folder: (folder / ".red.png").rename(folder / "shown.png"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_noticed(photos, change):
    save(photos / ".red.png", colour="white")
    (photos / "warm" / "yellow.xmp").write_text("<x/>")
    with FolderWatch(photos, pace=PACE) as watch:
        change(photos)
        assert watch.wait(LONG)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_found_if_the_system_does_not_report_it(photos, change):
    save(photos / ".red.png", colour="white")
    (photos / "warm" / "yellow.xmp").write_text("<x/>")
    with FolderWatch(photos, pace=PACE, make_events=refused(errno.ENOSPC)) as watch:
        change(photos)
        assert watch.wait(LONG)


def test_what_happens_in_a_folder_that_came_later_is_noticed(photos, either_watch):
    move_in(photos)
    assert either_watch.wait(LONG)
    either_watch.settle()
    (photos / "new" / "warm" / "red.png").unlink()
    assert either_watch.wait(LONG)


def test_a_change_between_two_waits_is_not_missed(photos, watch):
    save(photos / "new.png", colour="white")
    assert watch.wait(LONG)
    watch.settle()
    save(photos / "newer.png", colour="white")  # for example during a run
    assert watch.wait(LONG)


def test_a_link_in_a_circle_counts_as_a_missing_folder(tmp_path):
    (tmp_path / "photos").symlink_to(tmp_path / "photos")
    with FolderWatch(tmp_path / "photos", pace=PACE) as watch:
        assert not watch.wait(0)


@pytest.mark.parametrize("system_tells", [True, False])
def test_irrelevant_events_are_no_changes(photos, system_tells):
    (photos / "data").mkdir()
    make_events = system_events if system_tells else refused(errno.ENOSPC)
    by_another_path = photos / "warm" / ".." / "data"
    with FolderWatch(photos, leave_out=by_another_path, pace=PACE, make_events=make_events) as watch:
        for photo in photos.rglob("*.png"):
            photo.read_bytes()
        save(photos / ".hidden.png", colour="white")
        save(photos / ".thumbnails" / "new.png", colour="white")
        save(photos / "data" / "thumbnails" / "new.png", colour="white")
        (photos / "catalogue.db").write_text("no photo")
        (photos / "catalogue.db").rename(photos / "catalogue.old")
        (photos / "catalogue.old").unlink()
        (photos / "catalogue.json").write_text("{}")
        assert not watch.wait(1.0)  # the system reports it earlier


def test_what_is_left_out_is_no_change_but_a_new_rule_is(photos, make_events):
    (photos / "warm" / ".ignore").write_text("raw\n")
    for folder in ("@eaDir", "warm/raw", "cold/out"):
        (photos / folder).mkdir()
    with FolderWatch(photos, exclude=["out"], pace=PACE, make_events=make_events) as watch:
        for place in ("@eaDir/red.png/thumb.jpg", "#recycle/old.png", "warm/raw/new.png", "cold/out/deep/new.png"):
            save(photos / place, colour="white")
        assert not watch.wait(1.0)
        for change in (
            lambda: (photos / "warm" / ".ignore").unlink(),
            lambda: (photos / "cold" / "deep" / ".nomedia").touch(),
            lambda: (photos / "cold" / "deep" / ".nomedia").unlink(),
            lambda: (photos / ".ignore").write_text("*.png\n"),
        ):
            change()
            assert watch.wait(LONG)
            watch.settle()


def test_an_edit_that_keeps_size_and_time_is_a_change(photos, make_events):
    path = photos / "warm" / "red.png"
    status = path.stat()
    with FolderWatch(photos, pace=PACE, make_events=make_events) as watch:
        path.write_bytes(path.read_bytes())
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert watch.wait(LONG)


def test_a_further_watched_file_counts_too(photos, tmp_path):
    csv = tmp_path / "photos.csv"
    with FolderWatch(photos, also=csv, pace=PACE) as watch:
        csv.write_text("file,label\n")
        assert watch.wait(LONG)


def test_a_linked_folder_outside_is_not_watched(photos, tmp_path):
    elsewhere = colour_photos(tmp_path / "elsewhere")
    (photos / "link").symlink_to(elsewhere)
    with FolderWatch(photos, pace=PACE) as watch:
        save(elsewhere / "new.png", colour="white")
        assert not watch.wait(1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_unicode_is_a_change_and_does_not_end_the_watch(photos, watch):
    save(photos / "new.png", colour="white").rename(os.fsdecode(os.fsencode(photos) + b"/\xff.png"))
    assert watch.wait(LONG)
    Path(os.fsdecode(os.fsencode(photos) + b"/\xff")).mkdir()
    assert watch.wait(LONG)
    watch.settle()
    save(photos / "newer.png", colour="white")
    assert watch.wait(LONG)


# Waiting until nothing changes


def test_a_folder_settles_when_nothing_has_changed_for_a_while(photos, make_events):
    def write():
        for number in range(50):
            save(photos / f"{number % 8}.png", colour="white")
            done.wait(0.05)

    # Writing takes longer than the quiet time. No pause of a busy machine between two photos is as long as that.
    pace = Pace(quiet=2.0, restless=LONG, glance=0.05, look=0.05)
    done = threading.Event()
    writing = threading.Thread(target=write)
    with FolderWatch(photos, pace=pace, make_events=make_events) as watch:
        writing.start()
        assert watch.wait(LONG)
        watch.settle()
        assert not writing.is_alive()
        assert not watch.wait(0)


def test_the_wait_for_a_folder_that_never_settles_is_short(photos):
    def write():
        number = 0
        while not done.wait(0.01):
            number += 1
            save(photos / f"{number % 9}.png", colour="white")

    done = threading.Event()
    writing = threading.Thread(target=write)
    with FolderWatch(photos, pace=Pace(quiet=LONG, restless=0.5)) as watch:
        writing.start()
        begun = time.monotonic()
        watch.settle()
        assert time.monotonic() - begun < LONG / 2
    done.set()
    writing.join()


# The folder itself


def test_a_folder_that_goes_and_comes_back_is_watched_again(photos, either_watch):
    away = photos.with_name("away")
    photos.rename(away)
    assert either_watch.wait(LONG)
    either_watch.settle()
    away.rename(photos)
    assert either_watch.wait(LONG)
    check_goes_on(photos, either_watch)


def test_another_folder_in_its_place_is_watched(photos, either_watch):
    photos.rename(photos.with_name("away"))
    colour_photos(photos)
    assert either_watch.wait(LONG)
    check_goes_on(photos, either_watch)


def test_a_folder_deleted_and_made_anew_at_once_is_watched(photos, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with FolderWatch(empty, pace=PACE) as watch:
        empty.rmdir()
        empty.mkdir()  # as a rule with the number of the old one
        assert watch.wait(LONG)
        check_goes_on(empty, watch)


def test_a_link_to_a_folder_is_followed(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    with FolderWatch(tmp_path / "link", pace=PACE) as watch:
        save(photos / "new.png", colour="white")
        assert watch.wait(LONG)


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path):
    with FolderWatch(tmp_path / "photos", pace=PACE) as watch:
        assert not watch.wait(0.2)
        colour_photos(tmp_path / "photos")
        assert watch.wait(LONG)


# If the system does not report changes


@pytest.mark.parametrize(
    ("number", "setting"), [(errno.ENOSPC, "max_user_watches"), (errno.EMFILE, "max_user_instances"), (errno.EIO, "")]
)
def test_a_limit_of_the_system_is_reported_once_with_the_remedy(photos, number, setting):
    said = []
    pace = Pace(quiet=0.2, glance=0.05, look=0.05, renewal=0.1)
    with FolderWatch(photos, pace=pace, notify=said.append, make_events=refused(number)) as watch:
        assert watch.wait(LONG)  # the renewal
        assert watch.wait(LONG)
    assert len(said) == 1
    assert setting in said[0]
    assert f"{photos} is looked through" in said[0]


def test_a_limit_that_is_reached_later_is_noticed(photos):
    said, room = [], [True]

    def make_events(folders):
        return (system_events if room else refused(errno.ENOSPC))(folders)

    with FolderWatch(photos, pace=PACE, notify=said.append, make_events=make_events) as watch:
        assert said == []
        room.clear()
        (photos / "new").mkdir()
        assert watch.wait(LONG)
        watch.settle()
    assert "max_user_watches" in said[0]


def test_after_a_failure_of_the_system_the_watch_starts_again(photos):
    times = []

    def make_events(folders):
        times.append(len(folders))
        yield from (set(), set())
        yield from system_events(folders) if len(times) > 1 else refused(errno.EIO)(folders)

    with FolderWatch(photos, pace=PACE, make_events=make_events) as watch:
        assert watch.wait(LONG)
        watch.settle()
        save(photos / "new.png", colour="white")
        assert watch.wait(LONG)
    assert times == [4, 4]


# The real limits and permissions of Linux, in a separate namespace

WATCHER = """
import sys
from pathlib import Path
from image_embeddings.sources.changes import FolderWatch, Pace
from tests.pictures import save

photos = Path(sys.argv[1])
pace = Pace(quiet=0.2, glance=0.05, look=0.05)
with FolderWatch(photos, pace=pace, notify=lambda line: print(line, flush=True)) as watch:
    print("watching", flush=True)
    for line in sys.stdin:
        save(photos / line.strip(), colour="white")
        assert watch.wait(600)
        watch.settle()
        print("noticed", flush=True)
"""


def said_in_namespace(photos, *new, rights=("--map-root-user",), before=":"):
    """Return the messages of a watch of the folder in a user namespace.

    The shell command `before` runs there first. The photos `new` are saved there.
    """
    unshare = ["unshare", "--user", *rights]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"user namespaces cannot be made here: {error}")
    command = [*unshare, "sh", "-c", f'{before} && exec "$@"', "sh", sys.executable, "-c", WATCHER, str(photos)]
    lines = "".join(f"{name}\n" for name in new)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, cwd=ROOT, timeout=LONG)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def limit(name, value):
    return f"echo {value} > /proc/sys/user/{name}"


def test_more_folders_than_the_system_watches_are_looked_through(photos):
    said = said_in_namespace(photos, "cold/deep/new.png", before=limit("max_inotify_watches", 3))
    assert "max_user_watches" in said[0]
    assert said[1:] == ["watching", "noticed"]


def test_one_folder_more_than_the_system_watches_is_noticed(photos):
    names = ["new.png", "new/new.png", "new/newer.png"]
    said = said_in_namespace(photos, *names, before=limit("max_inotify_watches", 4))
    assert said[:2] == ["watching", "noticed"]
    assert "max_user_watches" in said[2]
    assert said[3:] == ["noticed"] * 2


def test_the_limit_of_watching_programs_has_a_message_of_its_own(photos):
    said = said_in_namespace(photos, "new.png", before=limit("max_inotify_instances", 0))
    assert "max_user_instances" in said[0]
    assert said[1:] == ["watching", "noticed"]


def test_a_folder_that_cannot_be_opened_does_not_stop_the_watch(photos):
    (photos / "lost+found").mkdir(mode=0)
    closed = f"! ls '{photos}/lost+found' 2>/dev/null"
    said = said_in_namespace(photos, "cold/deep/new.png", "new/new.png", rights=(), before=closed)
    assert said == ["watching", "noticed", "noticed"]


# From time to time


def test_from_time_to_time_everything_counts_as_changed(photos):
    with FolderWatch(photos, pace=Pace(glance=0.05, renewal=0.1)) as watch:
        assert watch.wait(LONG)
        assert watch.wait(LONG)


def threads_and_files():
    files = Path("/proc/self/fd")
    return threading.active_count(), len(list(files.iterdir())) if files.exists() else 0


def test_no_thread_and_no_file_is_left_after_many_renewals(photos):
    before = threads_and_files()
    with FolderWatch(photos, pace=Pace(glance=0.0, renewal=0.0)) as watch:
        for _ in range(20):
            assert watch.wait(LONG)
    deadline = time.monotonic() + LONG
    while threads_and_files() > before:
        assert time.monotonic() < deadline


MOUNTS = [
    ("/", "ext4"),
    ("/proc", "proc"),
    ("/mnt/nas", "nfs4"),
    ("/photos", "btrfs"),
    ("/photos/phone", "fuse.sshfs"),
    ("/home/me/.docs", "fuse.portal"),
]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me", ""),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nas/photos", "nfs4"),
        ("/mnt/nasty", ""),
        ("/photos", "fuse.sshfs"),
        ("/photos/rome", ""),
        ("/photos/phone/camera", "fuse.sshfs"),
    ],
)
def test_network_drives_are_recognised(folder, kind):
    assert shared_drive(Path(folder), mounts=[(Path(place), name) for place, name in MOUNTS]) == kind


def test_the_later_of_two_drives_in_one_place_counts():
    assert shared_drive(Path("/a"), mounts=[(Path("/a"), "nfs"), (Path("/a"), "ext4")]) == ""
