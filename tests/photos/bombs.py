"""Small files that claim large pictures. They are written by hand, so no test takes the memory itself."""

import struct
import zlib
from functools import cache
from io import BytesIO

from PIL import Image
from pillow_heif import from_pillow


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, bits=8, colours=0, rows=None):
    """Return a PNG in black of that size; `rows` are in it, the others are missing."""
    row_bytes = 1 + (width * bits * (3 if colours == 2 else 1) + 7) // 8
    packer = zlib.compressobj(1)
    row = bytes(row_bytes)
    packed = b"".join(packer.compress(row) for _ in range(height if rows is None else rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def webp(width, height):
    """Return a lossless WebP of one colour: with one symbol in each of its five codes, no pixel takes a bit."""
    fields = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 4), (0, 3), *[(0b0001, 4)] * 5]
    bits, at = 0, 0
    for value, length in fields:
        bits |= value << at
        at += length
    data = bits.to_bytes((at + 7) // 8, "little").ljust(32, b"\0")
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def float_tiff(side):
    """Return a TIFF with one float a pixel; all its strips are the same bytes."""
    rows = 100
    strip = zlib.compress(bytes(4 * side * rows))
    count = side // rows
    entries = {
        **{256: (3, [side]), 257: (3, [side]), 258: (3, [32]), 259: (3, [8]), 262: (3, [1]), 277: (3, [1])},
        **{273: (4, [8] * count), 278: (3, [rows]), 279: (4, [len(strip)] * count), 339: (3, [3])},
    }
    directory = 8 + len(strip)
    tail_at = directory + 2 + 12 * len(entries) + 4
    table, tail = b"", b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            packed, tail = struct.pack("<I", tail_at + len(tail)), tail + packed
        table += struct.pack("<HHI4s", tag, kind, len(values), packed)
    return b"II*\0" + struct.pack("<I", directory) + strip + struct.pack("<H", len(entries)) + table + bytes(4) + tail


def jpeg(width, height, **options):
    """Return a JPEG whose header claims that size; most of its picture is missing."""
    buffer = BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(buffer, "JPEG", **options)
    data = bytearray(buffer.getvalue())
    at = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def scans(width, height, number):
    """Return a progressive JPEG in grey with that many scans, of which all but the first say nothing new."""
    buffer = BytesIO()
    Image.new("L", (width, height), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    at = [found for found in range(len(data)) if data.startswith(b"\xff\xda", found)]
    last = data[at[-1] : -2]
    return data[:-2] + last * (number - len(at)) + data[-2:]


def gif(width, height):
    """Return a GIF that claims that size; most of its picture is missing."""
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + b"," + bytes(4) + size + b"\0\x02\x02D\x01\0;"


def heif(kind, width, height):
    """Return a HEIC or AVIF of 64 × 64 pixels whose header claims another size."""
    buffer = BytesIO()
    small = Image.new("RGB", (64, 64), "teal")
    from_pillow(small).save(buffer) if kind == "HEIC" else small.save(buffer, kind)
    data = bytearray(buffer.getvalue())
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


@cache
def refused():
    """Return name -> bytes of pictures with fewer pixels than MAX_IMAGE_PIXELS that take too much memory."""
    return {
        "thin PNG": png(1, 190_000_000, rows=1),
        "wide PNG of one bit": png(190_000_000, 1, bits=1),
        "square PNG": png(14_142, 14_142, colours=2, rows=100),
        "WebP": webp(14_000, 14_000),
        "float TIFF": float_tiff(10_000),
        "progressive JPEG": jpeg(15_000, 15_000, progressive=True),
        "JPEG of many scans": scans(2_000, 2_000, 3_000),
        "GIF": gif(65_535, 3_800),
        "HEIC": heif("HEIC", 15_000, 15_000),
        "AVIF": heif("AVIF", 15_000, 15_000),
    }


@cache
def admitted():
    """Return name -> bytes of pictures that take nearly as much memory as an upload may."""
    return {
        "PNG of one bit": png(65_535, 2_500, bits=1, rows=2_500),
        "WebP": webp(5_600, 5_600),
        "float TIFF": float_tiff(7_400),
        "progressive JPEG": jpeg(9_000, 9_000, progressive=True),
        "GIF": gif(65_535, 2_500),
    }
