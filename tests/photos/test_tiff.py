import contextlib
import random
import struct
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from image_embeddings.errors import ImageUnreadableError
from image_embeddings.photos.decoding import decode
from image_embeddings.photos.tiff import describe_kind
from tests.waiting import LONG

BITS, PHOTOMETRIC, SAMPLES, COLOUR_MAP, EXTRA, FORMAT = 258, 262, 277, 320, 338, 339


def saved(image, **options):
    buffer = BytesIO()
    image.save(buffer, "TIFF", **options)
    return buffer.getvalue()


def shown(data):
    return decode(data, max_pixels=10**6, what="scan.tif").image


def tiff(pixels, tags):
    """Return an uncompressed TIFF of 8 × 8 pixels; `tags` maps each tag to its values, all of type SHORT."""
    tags = {256: [8], 257: [8], 259: [1], 278: [8]} | tags | {273: [8], 279: [len(pixels)]}
    tail_at = 8 + len(pixels) + 2 + 12 * len(tags) + 4
    entries, tail = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}H", *values)
        if len(packed) > 4:
            packed, tail = struct.pack("<I", tail_at + len(tail)), tail + packed
        entries += struct.pack("<HHI4s", tag, 3, len(values), packed)
    return (
        b"II*\0"
        + struct.pack("<I", 8 + len(pixels))
        + pixels
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
        + tail
    )


def test_sixteen_bits_in_which_zero_is_white_are_no_negative():
    dark = np.full(64, 60_000, "<u2").tobytes()
    assert shown(tiff(dark, {BITS: [16], PHOTOMETRIC: [0], SAMPLES: [1]})).getpixel((0, 0))[0] == pytest.approx(
        22, abs=2
    )
    assert shown(tiff(dark, {BITS: [16], PHOTOMETRIC: [1], SAMPLES: [1]})).getpixel((0, 0))[0] == pytest.approx(
        233, abs=2
    )


def test_a_colour_map_of_eight_bits_is_not_black():
    for scale in (1, 257):
        colours = [level * scale for plane in (200, 100, 50) for level in [plane] * 256]
        data = tiff(bytes(64), {BITS: [8], PHOTOMETRIC: [3], SAMPLES: [1], COLOUR_MAP: colours})
        assert shown(data).getpixel((0, 0)) == (200, 100, 50)


def test_colours_that_are_multiplied_by_alpha_are_read():
    data = tiff(bytes([100, 200] * 64), {BITS: [8, 8], PHOTOMETRIC: [1], SAMPLES: [2], EXTRA: [1]})
    assert shown(data).getpixel((0, 0))[0] == pytest.approx(127 * 200 / 255 + 55, abs=3)


def test_a_kind_of_tiff_that_is_not_read_is_named():
    kinds = {
        "RGB with floating-point samples of 32 + 32 + 32 bits, compression raw": {
            BITS: [32] * 3,
            PHOTOMETRIC: [2],
            SAMPLES: [3],
            FORMAT: [3] * 3,
        },
        "CMYK and alpha with samples of 8 + 8 + 8 + 8 + 8 bits": {
            BITS: [8] * 5,
            PHOTOMETRIC: [5],
            SAMPLES: [5],
            EXTRA: [2],
        },
    }
    for kind, tags in kinds.items():
        with pytest.raises(ImageUnreadableError) as caught:
            shown(tiff(bytes(64 * 12), tags))
        assert f"it is a TIFF in {kind}" in str(caught.value)


def test_a_big_endian_bigtiff_is_named():
    entries = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1)]
    directory = struct.pack(">Q", len(entries))
    for tag, kind, count, value in entries:
        directory += struct.pack(">HHQH6x", tag, kind, count, value)
    data = b"MM\0+" + struct.pack(">HHQ", 8, 0, 16) + directory + bytes(8)
    with pytest.raises(ImageUnreadableError, match=r"a TIFF in grey with samples of 8 bits, .*big-endian BigTIFF"):
        shown(data)


@pytest.mark.parametrize("beginning", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"])
def test_random_directories_lead_to_our_errors(beginning):
    draw = random.Random(11)
    for length in range(60):
        data = beginning + draw.randbytes(length)
        assert describe_kind(data) == ""
        with pytest.raises(ImageUnreadableError):
            shown(data)


def test_libtiff_writes_nothing_to_the_terminal(capfd):
    data = bytearray(saved(Image.effect_noise((300, 200), 99).convert("1"), compression="group4"))
    data[100:400] = bytes(300)
    with contextlib.suppress(ImageUnreadableError):
        shown(bytes(data))
    assert capfd.readouterr().err == ""


def test_pillow_writes_nothing_to_the_terminal_of_a_program_without_loggers(tmp_path):
    file = tmp_path / "scan.tif"
    file.write_bytes(tiff(bytes(64), {BITS: [8], PHOTOMETRIC: [1], SAMPLES: [60_000]}))
    program = (
        "import sys; from pathlib import Path; from image_embeddings.errors import ImageUnreadableError\n"
        "from image_embeddings.photos.decoding import decode\n"
        "try:\n    decode(Path(sys.argv[1]).read_bytes(), max_pixels=10**6, what='scan.tif')\n"
        "except ImageUnreadableError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=LONG, check=True
    )
    assert (done.stdout, done.stderr) == ("refused\n", "")
