import subprocess
import sys
import threading
from io import BytesIO

import pytest
from PIL import Image

from image_embeddings.config import load_settings
from image_embeddings.errors import ImageMemoryError
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos import decoding
from image_embeddings.photos.memory import MemoryBudget, bytes_of_coefficients, is_lack, webp_size
from image_embeddings.sources.skipped import skip_for

SENSOR = (16_384, 12_288)  # of phones with 200 megapixels
LIMIT = 1_300_000_000  # bytes of addresses that the child process may use
CHILD = """
import resource, sys
from pathlib import Path
from image_embeddings.errors import ImageError
from image_embeddings.photos.decoding import decode
decode(Path(sys.argv[1]).read_bytes(), max_pixels=250_000_000, what="small.jpg")
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    print(decode(Path(sys.argv[2]).read_bytes(), max_pixels=250_000_000, what="photo").image.size)
except ImageError as error:
    print(error.code, error)
"""


def started(target):
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def test_pictures_share_the_budget_and_wait_in_turn():
    budget, order, second_waits = MemoryBudget(100), [], threading.Event()

    def take(name, wanted):
        with budget.take(wanted):
            order.append(name)

    with budget.take(60):
        second = started(lambda: take("large", 80))
        while not budget._waiting:
            second_waits.wait(0.001)
        third = started(lambda: take("small", 10))  # it would fit, but the large one came first
        third.join(0.05)
        assert order == []
    second.join(5)
    third.join(5)
    assert order == ["large", "small"]


def test_more_than_the_whole_budget_is_held_alone():
    budget = MemoryBudget(100)
    with budget.take(1_000):
        waiting = started(lambda: budget.take(1).__enter__())
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


def test_who_does_not_get_memory_in_time_holds_nothing_and_blocks_nobody():
    budget = MemoryBudget(100)
    with budget.take(60):
        with pytest.raises(TimeoutError), budget.take(80, patience=0.01):
            pytest.fail("there are only 40")
        with budget.take(40, patience=0.01):
            pass
    with budget.take(100, patience=0.01):
        pass


def test_the_budget_is_free_again_after_an_error():
    budget = MemoryBudget(100)
    with pytest.raises(ValueError), budget.take(100):
        raise ValueError
    with budget.take(100):
        pass


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}, {"lossless": True, "exif": b"Exif\0\0II*\0"}])
def test_the_size_of_a_webp_is_in_its_header(options):
    buffer = BytesIO()
    Image.new("RGB", (300, 200), "red").save(buffer, "WEBP", **options)
    assert webp_size(buffer.getvalue()) == (300, 200)


@pytest.mark.parametrize(("kind", "several"), [("progressive", True), ("one scan", False), ("a scan a colour", True)])
def test_a_jpeg_in_several_scans_is_held_whole(kind, several):
    buffer = BytesIO()
    Image.new("RGB", (300, 200), "red").save(buffer, "JPEG", progressive=kind == "progressive")
    data = buffer.getvalue()
    if kind == "a scan a colour":
        scan = data.index(b"\xff\xda")
        data = data[:scan] + bytes.fromhex("ffda 0008 01 0100 003f00") + data[scan + 14 :]
    with Image.open(BytesIO(data)) as image:
        assert bytes_of_coefficients(image, data) == (300 * 200 * 3 * 2 if several else 0)


def test_other_files_are_no_webp():
    assert webp_size(b"\xff\xd8" + bytes(100)) is None


@pytest.mark.parametrize(
    ("said", "lack"),
    [
        ("Memory allocation error: Unspecified", True),
        ("Failed to decode frame 0: Out of memory", True),
        ("Memory allocation error: Security limit exceeded: Image size exceeds the maximum", False),
        ("broken data stream when reading image file", False),
    ],
)
def test_a_lack_of_memory_is_told_from_damage(said, lack):
    assert is_lack(RuntimeError(said)) is lack


def test_a_photo_that_met_a_lack_of_memory_stays_as_it_was(monkeypatch):
    buffer = BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "JPEG")

    def fail(*_args, **_options):
        raise RuntimeError("Memory allocation error: Unspecified")

    monkeypatch.setattr(decoding, "_load", fail)
    with pytest.raises(ImageMemoryError, match=r"a\.jpg needs more memory .*try again") as raised:
        decoding.decode(buffer.getvalue(), max_pixels=1_000, what="a.jpg")
    assert not skip_for(raised.value, image_id="a.jpg").unusable


def saved(path, kind, size, **options):
    Image.new("RGB", size, "teal").save(path, kind, **options)
    return path


@pytest.mark.parametrize(
    ("kind", "size", "options"),
    [
        ("PNG", SENSOR, {"compress_level": 1}),
        ("JPEG", SENSOR, {"progressive": True, "quality": 50}),
    ],
)
def test_a_photo_of_200_megapixels_that_gets_no_memory_is_not_called_damaged(tmp_path, kind, size, options):
    large, small = saved(tmp_path / "large", kind, size, **options), saved(tmp_path / "small", "JPEG", (64, 48))
    limits = [LIMIT, 10 * LIMIT]
    answers = [
        subprocess.run(
            [sys.executable, "-c", CHILD, small, large, str(limit)], capture_output=True, text=True, timeout=60
        )
        for limit in limits
    ]
    assert [answer.stderr for answer in answers] == ["", ""]
    assert answers[0].stdout.startswith("image_memory photo needs more memory")
    assert answers[1].stdout.startswith("(")


def test_the_pixels_of_todays_sensors_are_admitted():
    assert min(load_settings({}).max_image_pixels, IndexOptions().max_pixels) >= SENSOR[0] * SENSOR[1]
