import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, PngImagePlugin

from image_embeddings.photos import decoding
from image_embeddings.photos.iptc import CAPTION, KEYWORD, Iptc, of_resources
from image_embeddings.photos.packets import tag_bytes
from tests.worded_photos import iptc, xmp

RECORDS = iptc(caption=b"The sea", keywords=[b"a", b"b"])
RESOURCES = (
    b"8BIM\x04\x25\0\0" + struct.pack(">I", 3) + b"xyz\0" + b"8BIM\x04\x04\2ab\0" + struct.pack(">I", len(RECORDS))
)
RESOURCES += RECORDS
XMP = xmp(captions={"x-default": "Küste"}, keywords=["海"])
LONG, BYTE, UNDEFINED, ASCII = 4, 1, 7, 2


def tiff(tag, data, *, kind, order="<", swapped=False):
    """Return a TIFF of one pixel with these bytes in a tag of that type."""
    data += bytes(-len(data) % 4)
    if swapped:
        data = b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))
    length = len(data) // 4 if kind == LONG else len(data)
    entries = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 1), (tag, kind, length, 12)]
    directory = 12 + len(data)
    made = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", directory) + b"\x80\0\0\0" + data
    made += struct.pack(f"{order}H", len(entries))
    for name, type_, count, value in sorted(entries):
        at_value = struct.pack(f"{order}HH", value, 0) if type_ == 3 else struct.pack(f"{order}I", value)
        made += struct.pack(f"{order}HHI", name, type_, count) + at_value
    return made + bytes(4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [LONG, BYTE, UNDEFINED, ASCII])
@pytest.mark.parametrize("swapped", [False, True])
def test_iptc_in_tiff_is_read_whatever_its_type(order, kind, swapped):
    found = decoding.decode(tiff(33723, RECORDS, kind=kind, order=order, swapped=swapped), max_pixels=9, what="a.tif")
    words = Iptc(found.iptc)
    assert (words.texts(CAPTION), words.texts(KEYWORD)) == (["The sea"], ["a", "b"])


@pytest.mark.parametrize("kind", [LONG, BYTE, UNDEFINED])
def test_resources_and_xmp_in_tiff_are_read_whatever_their_type(kind):
    found = decoding.decode(tiff(34377, RESOURCES, kind=kind), max_pixels=9, what="a.tif")
    assert found.iptc == RECORDS
    found = decoding.decode(tiff(700, XMP, kind=kind), max_pixels=9, what="a.tif")
    assert found.xmp.rstrip(b"\0") == XMP


def test_damaged_directories_have_no_tags():
    whole = tiff(33723, RECORDS, kind=LONG)
    for end in range(len(whole)):
        assert whole.find(tag_bytes(whole[:end], 33723)) >= 0
    for data in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 8, b"\x89PNG"):
        assert tag_bytes(data, 33723) == b""


def test_damaged_resources_have_no_iptc():
    assert of_resources(RESOURCES) == RECORDS
    for end in range(len(RESOURCES)):
        assert RECORDS.startswith(of_resources(RESOURCES[:end]))


def test_a_resource_without_a_size_reaches_to_the_end():
    assert of_resources(b"8BIM\x04\x04\0\0" + bytes(4) + RECORDS) == RECORDS
    assert of_resources(b"8BIM\x04\x04\0\0" + bytes(4) + b"8BIM\x04\x25\0\0" + bytes(4)) == b""


def test_xmp_in_gif_is_read():
    buffer = BytesIO()
    Image.new("L", (1, 1)).save(buffer, "GIF")
    data = buffer.getvalue()
    at = data.index(b",")  # the picture begins
    trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    made = data[:at] + b"!\xff\x0bXMP DataXMP" + XMP + trailer + data[at:]
    found = decoding.decode(made, max_pixels=9, what="a.gif")
    assert (found.xmp, found.image.size, found.damage) == (XMP, (1, 1), "")


def profile(name, data):
    """Return bytes as ImageMagick writes them into a text of a PNG."""
    digits = data.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\n{name}\n{len(data):8}\n{lines}\n"


def png(key, text, *, how):
    """Return a PNG with a text of a kind: "tEXt", "zTXt" or "iTXt"."""
    texts = PngImagePlugin.PngInfo()
    if how == "iTXt":
        texts.add_itxt(key, text, zip=True)
    else:
        texts.add_text(key, text, zip=how == "zTXt")
    buffer = BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG", pnginfo=texts)
    return buffer.getvalue()


TEXTS = {
    "profile iptc": ("Raw profile type iptc", profile("iptc", RESOURCES)),
    "bare records": ("Raw profile type iptc", profile("iptc", RECORDS)),
    "capitals": ("Raw Profile Type IPTC", profile("iptc", RESOURCES)),
    "a name of two words": ("Raw profile type iptc", profile("IPTC profile", RESOURCES)),
    "profile 8bim": ("Raw profile type 8bim", profile("8bim", RESOURCES)),
    "a segment of JPEG": ("Raw profile type APP13", profile("app13", b"Photoshop 3.0\0" + RESOURCES)),
}


@pytest.mark.parametrize("how", ["tEXt", "zTXt", "iTXt"])
@pytest.mark.parametrize(("key", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_iptc_in_the_texts_of_png_is_read(key, text, how):
    assert decoding.decode(png(key, text, how=how), max_pixels=9, what="a.png").iptc == RECORDS


@pytest.mark.parametrize("how", ["tEXt", "zTXt", "iTXt"])
@pytest.mark.parametrize("key", ["XML:com.adobe.xmp", "Raw profile type xmp", "Raw profile type APP1"])
def test_xmp_in_the_texts_of_png_is_read(key, how):
    text = XMP.decode() if how == "iTXt" else XMP.decode("latin-1")
    if key.startswith("Raw"):
        text = profile("xmp", b"http://ns.adobe.com/xap/1.0/\0" * key.endswith("APP1") + XMP)
    assert decoding.decode(png(key, text, how=how), max_pixels=9, what="a.png").xmp == XMP


@pytest.mark.parametrize("name", ["exif", "APP1"])
def test_exif_in_the_texts_of_png_is_read(name):
    exif = Image.Exif()
    exif[272] = "Camera 2"
    text = profile(name, exif.tobytes())
    found = decoding.decode(png(f"Raw profile type {name}", text, how="zTXt"), max_pixels=9, what="a.png")
    assert found.exif[272] == "Camera 2"


@pytest.mark.parametrize("text", ["", "\n", "iptc", "\niptc\nx\nff", "\niptc\n 2\nzzzz", "\niptc\n 9\nf"])
def test_a_damaged_profile_is_left_out(text):
    for kind in ("iptc", "xmp", "APP1", "8bim"):
        found = decoding.decode(png(f"Raw profile type {kind}", text, how="tEXt"), max_pixels=9, what="a.png")
        assert (found.xmp, found.iptc) == (b"", b"")


def test_a_packet_that_cannot_be_unpacked_costs_only_itself():
    data = b"Raw profile type iptc\0\0" + zlib.compress(profile("iptc", RESOURCES).encode())[:-20]
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    whole = png("a", "b", how="tEXt")
    found = decoding.decode(whole[:33] + chunk + whole[33:], max_pixels=9, what="a.png")
    assert RECORDS.startswith(found.iptc)


@pytest.mark.parametrize("kind", [BYTE, 3, LONG])
def test_an_orientation_of_any_type_turns_the_picture(kind):
    directory = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x112, kind, 1, 6, 0)
    buffer = BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "JPEG", exif=directory)
    decoded = decoding.decode(buffer.getvalue(), max_pixels=999, what="a.jpg")
    assert (decoded.width, decoded.height, decoded.image.size) == (20, 30, (20, 30))
