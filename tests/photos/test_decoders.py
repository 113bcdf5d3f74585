"""Processes that decode: what comes out of them, what becomes of those that fail, and what they may take."""

import os
import pickle
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from PIL import Image

from image_embeddings import errors
from image_embeddings.config import ROOT
from image_embeddings.photos import browsers, decoding
from image_embeddings.photos.decoder_limits import SPARE_BYTES
from image_embeddings.photos.decoders import INDEXING, SERVING, UPLOAD_BYTES, Decoders
from image_embeddings.photos.photo import PhotoBytes, content_hash, decode_photo
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.skipped import skip_for
from tests.icc_profiles import rgb_profile
from tests.photos import bombs
from tests.photos.decoder_faults import MARK
from tests.waiting import LONG, wait_for

FAULTS = ("tests.photos.decoder_faults",)
PATIENT = replace(INDEXING, seconds=LONG, cpu_seconds=LONG)
SPARE_MB, UPLOAD_MB = SPARE_BYTES // 2**20, UPLOAD_BYTES // 2**20
EMPTY_MB = 120  # of memory that a process takes without a picture; seen: 50


def saved(image=None, kind="JPEG", **options):
    buffer = BytesIO()
    (image or Image.effect_noise((640, 480), 50).convert("RGB")).save(buffer, kind, **options)
    return buffer.getvalue()


def fault(word, path=""):
    return saved(Image.new("RGB", (64, 48), "teal")) + MARK[2:] + f"{word} {path}".encode()


def photo_of(data, image_id="a.jpg"):
    return PhotoBytes(image_id=image_id, data=data, mtime_ns=1, content_hash=content_hash(data))


@pytest.fixture(scope="module")
def decoders():
    with closing(Decoders(2, limits=PATIENT)) as made:
        yield made


@pytest.fixture(scope="module")
def faulty():
    """One process in which decoders have faults, and another one after each that a fault has ended."""
    with closing(Decoders(1, limits=PATIENT, modules=FAULTS)) as made:
        yield made


@pytest.fixture(scope="module")
def serving():
    """One process with the limits of the web app, for which all wait as long as it takes."""
    with closing(Decoders(1, limits=replace(SERVING, patience=None, seconds=LONG))) as made:
        yield made


def decode(decoders, data, **options):
    return decoders.decode(data, **{"max_pixels": 250_000_000, "what": "a.jpg", **options})


def peak_mb(decoders):
    """Return the most memory that the processes had, added up, as if all had it at the same moment."""
    peaks = [line for pid in decoders.pids() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in peaks if line.startswith("VmHWM")) // 1024


# What comes out


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_the_same_as_if_it_were_decoded_here(decoders, kind):
    data = saved(kind=kind, icc_profile=rgb_profile("display-p3"))
    here = decoding.decode(data, max_pixels=10**6, what="a.jpg", short_side=100).image
    there = decode(decoders, data, short_side=100)
    assert (there.mode, there.size, there.tobytes()) == (here.mode, here.size, here.tobytes())


def test_a_photo_is_the_same_as_if_it_were_decoded_here(decoders, tmp_path):
    photo = photo_of(saved(icc_profile=rgb_profile("display-p3")))
    here, there = decode_photo(photo, max_pixels=10**6), decoders.decode_photo(photo, max_pixels=10**6)
    assert there.document == here.document
    assert there.unmanaged.tobytes() == here.unmanaged.tobytes()
    thumbnails = Thumbnails(tmp_path)
    without = decoders.decode_photo(photo, max_pixels=10**6, keep_unmanaged=False, thumbnails=thumbnails)
    assert (without.unmanaged, without.image.tobytes()) == (None, here.image.tobytes())
    assert thumbnails.path(photo.content_hash).is_file()


def test_a_rendition_is_the_same_as_if_it_were_made_here(decoders):
    data = saved(kind="TIFF")
    options = {"max_pixels": 10**6, "what": "a.tif"}
    assert decoders.rendition(data, **options) == browsers.rendition(data, **options)


@pytest.mark.parametrize("data", [b"", b"no image", saved()[:700], saved(Image.new("RGB", (5000, 5000)))])
def test_an_error_is_the_same_as_if_it_were_raised_here(decoders, data):
    options = {"max_pixels": 10**6, "what": "a.jpg"}
    with pytest.raises(errors.ImageError) as here:
        decoding.decode(data, **options)
    with pytest.raises(errors.ImageError) as there:
        decoders.decode(data, **options)
    assert (type(there.value), str(there.value)) == (type(here.value), str(here.value))


def test_a_thumbnail_that_cannot_be_written_ends_a_run_as_before(decoders, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(errors.DataDirError, match="No thumbnail can be written"):
        decoders.decode_photo(photo_of(saved()), max_pixels=10**6, thumbnails=Thumbnails(tmp_path / "file"))


def test_a_mistake_of_ours_is_raised_here_with_its_traceback(faulty):
    with pytest.raises(AttributeError, match="a fault of ours") as raised:
        decode(faulty, fault("mistake"))
    assert "decoder_faults.py" in str(raised.value.__cause__)
    assert decode(faulty, saved()).size == (640, 480)


def test_lines_of_c_libraries_reach_no_terminal(capfd):
    with closing(Decoders(1, limits=PATIENT, modules=FAULTS)) as begun_here:  # so it could write to what capfd reads
        assert decode(begun_here, fault("babble")).size == (64, 48)
    assert capfd.readouterr() == ("", "")


def test_many_threads_share_a_few_processes(decoders):
    pictures = [saved(Image.new("RGB", (64, 48), (level, 0, 0)), kind="PNG") for level in range(40)]
    with ThreadPoolExecutor(8) as pool:
        levels = [image.getpixel((0, 0))[0] for image in pool.map(lambda data: decode(decoders, data), pictures)]
    assert levels == list(range(40))
    assert len(decoders.pids()) == 2


def test_decoders_that_are_sent_elsewhere_are_the_same_for_all_who_get_them(decoders):
    sent = pickle.dumps(decoders)
    assert pickle.loads(sent) is pickle.loads(sent)


# Processes that fail


@pytest.mark.parametrize("word", ["crash", "abort", "end"])
def test_a_crash_costs_one_photo(faulty, word):
    with pytest.raises(errors.ImageUnreadableError, match=r"a\.jpg is .* \(its decoder crashed\): copy it") as raised:
        decode(faulty, fault(word))
    assert skip_for(raised.value, image_id="a.jpg").unusable
    assert decode(faulty, saved()).size == (640, 480)


def test_a_signal_of_a_crash_in_the_midst_of_a_picture_costs_one_photo(faulty, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(decode, faulty, fault("wait", tmp_path / "begun"))
        wait_for((tmp_path / "begun").exists)
        os.kill(faulty.pids()[0], signal.SIGSEGV)
        assert "its decoder crashed" in str(waiting.exception(LONG))
    assert decode(faulty, saved()).size == (640, 480)


@pytest.mark.parametrize("limits", [{"seconds": 3.0}, {"cpu_seconds": 1.0}])
def test_a_decoder_that_does_not_come_to_an_end_is_ended(limits, tmp_path):
    data = fault("hang" if "seconds" in limits else "spin", tmp_path / "begun")
    with closing(Decoders(1, limits=replace(PATIENT, **limits), modules=FAULTS)) as decoders:
        with pytest.raises(errors.ImageSlowError, match=r"a\.jpg takes more than .* s to be decoded") as raised:
            decode(decoders, data)
        assert gone(int((tmp_path / "begun").read_text()))
        assert not skip_for(raised.value, image_id="a.jpg").unusable


def test_a_photo_whose_process_the_system_has_ended_is_tried_once_more(faulty, tmp_path):
    assert decode(faulty, fault("killed-once", tmp_path / "once")).size == (64, 48)
    with pytest.raises(errors.ImageMemoryError, match="the system has ended its decoder twice") as raised:
        decode(faulty, fault("killed"))
    assert not skip_for(raised.value, image_id="a.jpg").unusable


def test_who_waits_too_long_for_a_decoder_is_told_to_come_again(tmp_path):
    limits = replace(PATIENT, patience=0.01)
    with closing(Decoders(1, limits=limits, modules=FAULTS)) as decoders, ThreadPoolExecutor(1) as pool:
        first = pool.submit(decode, decoders, fault("wait", tmp_path / "begun"))
        wait_for((tmp_path / "begun").exists)
        with pytest.raises(errors.DecodersBusyError, match="Try again"):
            decode(decoders, saved())
        (tmp_path / "begun").unlink()
        assert first.result(LONG).size == (64, 48)


def test_a_file_is_read_when_its_turn_has_come(tmp_path):
    read = []

    def data():
        read.append(True)
        return saved()

    with closing(Decoders(1, limits=PATIENT, modules=FAULTS)) as decoders, ThreadPoolExecutor(2) as pool:
        first = pool.submit(decode, decoders, fault("wait", tmp_path / "begun"))
        wait_for((tmp_path / "begun").exists)
        second = pool.submit(decode, decoders, data)
        wait_for(lambda: decoders._places._value == 0 and not second.done())
        assert read == []
        (tmp_path / "begun").unlink()
        assert (first.result(LONG).size, second.result(LONG).size) == ((64, 48), (640, 480))
    assert read == [True]


def test_an_error_of_reading_costs_no_process(decoders):
    def data():
        raise errors.CorpusError("gone")

    decode(decoders, saved())
    before = decoders.pids()
    with pytest.raises(errors.CorpusError, match="gone"):
        decode(decoders, data)
    assert decode(decoders, saved()).size == (640, 480)
    assert decoders.pids() == before


def test_a_process_that_has_nothing_to_do_ends_and_another_begins():
    with closing(Decoders(1, limits=replace(PATIENT, idle_seconds=1.0))) as decoders:
        decode(decoders, saved())
        (before,) = decoders.pids()
        wait_for(lambda: gone(before))
        assert decode(decoders, saved()).size == (640, 480)
        assert decoders.pids() != [before]


def test_a_process_that_has_kept_memory_is_replaced(faulty):
    assert decode(faulty, fault("keep")).size == (64, 48)
    (before,) = faulty.pids()
    assert decode(faulty, saved()).size == (640, 480)
    assert faulty.pids() != [before]


def test_a_process_that_cannot_start_is_no_fault_of_the_photo():
    with (
        closing(Decoders(1, limits=PATIENT, modules=("no.such.module",))) as decoders,
        pytest.raises(errors.ImageMemoryError, match="no process can decode it"),
    ):
        decode(decoders, saved())


@pytest.fixture
def little_room():
    """This process can write files of 20 kB at most. Processes that it starts inherit that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_finds_no_room_is_not_at_fault(little_room):
    with (
        closing(Decoders(1, limits=PATIENT)) as decoders,
        pytest.raises(errors.ImageMemoryError, match="no process can decode it: File too large"),
    ):
        decode(decoders, saved())


def test_a_picture_that_finds_no_room_is_not_at_fault(little_room):
    with (
        closing(Decoders(1, limits=PATIENT)) as decoders,
        pytest.raises(errors.ImageMemoryError, match="the system has ended its decoder twice"),
    ):
        decode(decoders, saved(Image.new("RGB", (640, 480), "teal")))


# Their end

PARENT = """
import sys
from pathlib import Path
from image_embeddings.photos.decoders import Decoders, INDEXING
decoders = Decoders(1, limits=INDEXING, modules=("tests.photos.decoder_faults",))
print(decoders.decode(Path(sys.argv[1]).read_bytes(), max_pixels=10**6, what="a").size, decoders.pids()[0], flush=True)
if len(sys.argv) > 2:
    decoders.decode(Path(sys.argv[2]).read_bytes(), max_pixels=10**6, what="a")
"""


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_is_left_when_the_one_that_asks_is_ended_in_the_midst_of_a_picture(tmp_path, end):
    (tmp_path / "good").write_bytes(saved(Image.new("RGB", (64, 48))))
    (tmp_path / "hangs").write_bytes(fault("hang", tmp_path / "begun"))
    command = [sys.executable, "-c", PARENT, tmp_path / "good", tmp_path / "hangs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as parent:
        pid = int(parent.stdout.readline().split()[-1])
        wait_for((tmp_path / "begun").exists)
        assert not gone(pid)
        parent.send_signal(end)
    wait_for(lambda: gone(pid))


def test_no_process_is_left_at_an_ordinary_end(tmp_path):
    (tmp_path / "good").write_bytes(saved(Image.new("RGB", (64, 48))))
    command = [sys.executable, "-W", "error", "-c", PARENT, tmp_path / "good"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    wait_for(lambda: gone(int(done.stdout.split()[-1])))


def test_the_ctrl_c_of_a_terminal_does_not_reach_them(decoders):
    decode(decoders, saved())
    assert all(os.getpgid(pid) != os.getpgid(0) for pid in decoders.pids())


# What they may take


@pytest.mark.parametrize("name", bombs.refused())
def test_a_bomb_is_refused_before_memory_is_taken_for_it(serving, name):
    with pytest.raises(errors.ImageTooLargeError, match=r"in a row or column|MB of memory|pixels|scans"):
        decode(serving, bombs.refused()[name], max_bytes=UPLOAD_BYTES)
    assert 0 < peak_mb(serving) < EMPTY_MB


@pytest.mark.parametrize("name", bombs.admitted())
def test_a_picture_takes_no_more_memory_than_was_reckoned(name):
    with closing(Decoders(1, limits=replace(SERVING, patience=None, seconds=LONG, cpu_seconds=LONG))) as decoders:
        with suppress(errors.ImageUnreadableError):  # most of its picture is missing
            decode(decoders, bombs.admitted()[name], max_bytes=UPLOAD_BYTES)
        assert peak_mb(decoders) < EMPTY_MB + UPLOAD_MB


def test_eight_bombs_at_once_take_no_more_memory_than_one():
    pictures = [*bombs.admitted().values(), *bombs.refused().values()] * 2
    with closing(Decoders(2, limits=replace(SERVING, seconds=LONG, cpu_seconds=LONG))) as decoders:

        def take(data):
            with suppress(errors.ImageError):
                decode(decoders, data, max_bytes=UPLOAD_BYTES)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(take, pictures))
        assert peak_mb(decoders) < 2 * (EMPTY_MB + UPLOAD_MB)  # each has had its turn, the one after the other


def test_a_decoder_gets_no_more_memory_than_was_reckoned_and_spare(faulty):
    with pytest.raises(errors.ImageMemoryError, match=r"a\.jpg needs more memory"):
        decode(faulty, fault("devour"))
    assert peak_mb(faulty) < EMPTY_MB + SPARE_MB
    assert decode(faulty, saved()).size == (640, 480)
