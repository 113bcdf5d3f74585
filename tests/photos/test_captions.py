import codecs
import json
import random
import subprocess

import pytest

from image_embeddings.photos import captions
from image_embeddings.photos.captions import (
    CAPTION_LENGTH,
    KEYWORD_LENGTH,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_KEYWORDS,
    Words,
    words,
)
from image_embeddings.photos.photo import PhotoBytes, content_hash, decode_photo
from tests import exiftool
from tests.pictures import save
from tests.waiting import LONG
from tests.worded_photos import XMP, iptc, xmp


def test_xmp_gives_caption_and_keywords():
    found = words(xmp=xmp(captions={"x-default": "Am Meer &amp; mehr"}, keywords=["sea", "海"]))
    assert found == Words(caption="Am Meer & mehr", keywords=("sea", "海"))


def test_the_default_language_of_several_is_used():
    assert words(xmp=xmp(captions={"fr": "La mer", "x-default": "The sea"})).caption == "The sea"
    assert words(xmp=xmp(captions={"fr": "La mer", "de": "Das Meer"})).caption == "La mer"


def test_the_short_form_of_a_caption_is_read():
    packet = XMP.format("").replace('rdf:about=""', 'dc:description="The sea"').replace("xmlns:dc", " xmlns:dc")
    assert words(xmp=packet.encode()).caption == "The sea"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_packet_may_be_padded_and_in_utf_16(encoding):
    packet = xmp(captions={"x-default": "Küste"}).decode().replace("\ufeff", "").encode(encoding)
    assert words(xmp=packet + b" \n" * (encoding == "utf-8")).caption == "Küste"


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-8", b"\0\0\n "),
    ],
)
@pytest.mark.parametrize("end", ['<?xpacket end="r"?>', ""])
def test_a_packet_may_begin_with_a_mark_and_end_with_padding(encoding, mark, end):
    packet = xmp(captions={"x-default": "Küste"}, keywords=["海"]).decode().replace("\ufeff", "")
    padded = packet.replace('<?xpacket end="w"?>', " \n" * 2_000 + end)
    assert words(xmp=mark + padded.encode(encoding)) == Words(caption="Küste", keywords=("海",))


def test_a_packet_may_be_padded_with_zeros():
    assert words(xmp=xmp(keywords=["sea"]) + b"\0" * 4_000).keywords == ("sea",)


def test_keywords_of_other_elements_are_ignored():
    packet = XMP.format("<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li></rdf:Seq></dc:creator>")
    assert words(xmp=packet.encode()) == Words()


@pytest.mark.parametrize("utf8", [True, False])
def test_iptc_gives_caption_and_keywords_in_its_declared_encoding(utf8):
    encoding = "utf-8" if utf8 else "cp1252"
    records = iptc(caption="Küste".encode(encoding), keywords=["été".encode(encoding), b"sea"], utf8=utf8)
    assert words(iptc=records) == Words(caption="Küste", keywords=("été", "sea"))


def test_the_caption_of_xmp_goes_first_and_keywords_of_both_count_once():
    found = words(
        xmp=xmp(captions={"x-default": "new"}, keywords=["b", "a"]), iptc=iptc(caption=b"old", keywords=[b"a", b"c"])
    )
    assert found == Words(caption="new", keywords=("b", "a", "c"))


def test_an_empty_caption_is_ignored():
    assert words(xmp=xmp(captions={"x-default": " \n"}), iptc=iptc(caption=b"  ")).caption is None


def test_long_texts_and_many_keywords_are_cut():
    found = words(xmp=xmp(captions={"x-default": "x" * 1_000_000}, keywords=[f"{n}" + "y" * 999 for n in range(500)]))
    assert len(found.caption) == CAPTION_LENGTH
    assert (len(found.keywords), len(found.keywords[0])) == (MAX_KEYWORDS, KEYWORD_LENGTH)


def test_a_packet_of_megabytes_is_not_read():
    assert words(xmp=xmp(captions={"x-default": "x" * MAX_BYTES})) == Words()


def test_entities_are_not_expanded():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + xmp(
        captions={"x-default": "&b;"}
    ).decode().replace("\ufeff", "")
    assert words(xmp=bomb.encode()) == Words()


def test_a_billion_laughs_attack_has_no_effect():
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    packet = xmp(captions={"x-default": "&l9;"}, keywords=["sea"]).decode()
    assert words(xmp=f'<!DOCTYPE x [<!ENTITY l0 "lol">{lines}]>{packet}'.encode()) == Words()


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE x>",
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE x [<!ENTITY % d SYSTEM "http://127.0.0.1:9/x.dtd"> %d;]>',
        '<!DOCTYPE x PUBLIC "x" "http://127.0.0.1:9/x.dtd">',
    ],
)
def test_a_packet_with_a_document_type_is_ignored(doctype):
    packet = xmp(captions={"x-default": "The sea"}, keywords=["a"]).decode().replace("\ufeff", "")
    assert words(xmp=f"{doctype}{packet}".encode()) == Words()


def test_an_entity_cannot_read_a_file_of_the_machine():
    packet = xmp(captions={"x-default": "&f;"}, keywords=["a"]).decode()
    assert words(xmp=f'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>{packet}'.encode()) == Words()


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", b"<", b"<a>&undefined;</a>", b'<?xml version="1.0" encoding="none"?><a/>']
)
def test_damaged_xmp_is_ignored(data):
    assert words(xmp=data) == Words()


def nested(depth):
    """Return a packet with that many elements inside one another, and a keyword before them."""
    inner = "<a>" * (depth - 3) + "</a>" * (depth - 3)
    return XMP.format(f"<dc:subject><rdf:Bag><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>{inner}").encode()


def test_elements_may_be_nested_up_to_a_limit():
    assert words(xmp=nested(MAX_DEPTH)).keywords == ("sea",)
    assert words(xmp=nested(MAX_DEPTH + 1)) == Words()
    assert words(xmp=nested(200_000)) == Words()
    assert words(xmp=b"<a>" * (MAX_BYTES // 3)) == Words()


def test_a_packet_may_have_many_elements_up_to_a_limit():
    packet = XMP.format("<dc:subject><rdf:Bag>{}</rdf:Bag></dc:subject>").replace("{}", "<rdf:li>sea</rdf:li>{}")
    inside = packet.count("</") - 1
    assert words(xmp=packet.format("<a/>" * (MAX_ELEMENTS - inside - 1)).encode()).keywords == ("sea",)
    assert words(xmp=packet.format("<a/>" * (MAX_ELEMENTS + 1)).encode()) == Words()


def test_damage_is_never_an_error():
    packet = xmp(captions={"x-default": "The sea", "de": "Das Meer"}, keywords=["sea", "海"])
    chance = random.Random(13)
    found = set()
    for _ in range(1_500):
        damaged = bytearray(packet)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        found.add(words(xmp=bytes(damaged[: chance.randint(1, len(damaged))])))
    whole = words(xmp=packet)
    assert found > {Words(), Words(caption="The sea"), Words(caption="The sea", keywords=("sea",)), whole}


def test_words_before_the_damage_are_used():
    packet = xmp(captions={"x-default": "whole"}, keywords=["a", "b"])
    assert words(xmp=packet[: packet.index(b"b</rdf:li>")]) == Words(caption="whole", keywords=("a",))


@pytest.mark.parametrize(
    "data", [b"\x1c", b"\x1c\2\x78\0", b"\x1c\2\x78\xff\xff" + b"x" * 99, b"nonsense", b"\x1c\2\x78\0\0"]
)
def test_damaged_iptc_is_ignored(data):
    assert words(iptc=data) == Words()


def test_words_are_one_line_of_printable_text():
    assert words(iptc=iptc(caption=b"a\r\nb\x07c\0hidden")).caption == "a b c"
    assert (
        words(xmp=xmp(captions={"x-default": "می\u200cخواهم 👩\u200d👧 \u202eevil"})).caption
        == "می\u200cخواهم 👩\u200d👧 evil"
    )


def test_records_of_iptc_are_read_in_order():
    assert [kind for kind, _ in captions._records(iptc(caption=b"x", keywords=[b"y"]))] == [(2, 120), (2, 25)]


# Compared with exiftool, which writes the files and reads them as well


WRITTEN = {
    "both": [
        "-XMP-dc:Title=A title",
        "-XMP-dc:Description=The sea & more",
        "-XMP-dc:Description-de=Das Meer",
        "-XMP-dc:Description-ja=海",
        "-XMP-dc:Subject=sea",
        "-XMP-dc:Subject=Küste",
        "-XMP-lr:HierarchicalSubject=places|sea",
        "-IPTC:Caption-Abstract=An older caption",
        "-IPTC:Keywords=sea",
        "-IPTC:Keywords=ship",
    ],
    "no default language": ["-XMP-dc:Description-fr=La mer", "-XMP-dc:Subject=mer"],
    "IPTC in UTF-8": ["-IPTC:CodedCharacterSet=UTF8", "-IPTC:Caption-Abstract=Küste 海", "-IPTC:Keywords=été"],
    "IPTC in Latin-1": ["-IPTC:Caption-Abstract=Küste", "-IPTC:Keywords=été"],
    "a title alone": ["-XMP-dc:Title=A title", "-XMP-dc:Creator=Ada"],
    "the short form": ["-api", "Compact=Shorthand", "-XMP-dc:Description=The sea", "-XMP-xmp:Label=red"],
}


@pytest.fixture
def run_exiftool():
    """Run exiftool and return its output."""
    path = exiftool.executable()
    if path is None:
        assert not exiftool.NEEDED, exiftool.MISSING
        pytest.skip(exiftool.MISSING)
    return lambda *flags: (
        subprocess.run([path, *flags], check=True, capture_output=True, text=True, timeout=LONG).stdout
    )


def by_exiftool(facts):
    """Return the words that exiftool reads, by our rules: first the caption of XMP; keywords of both, each once."""
    lists = [facts.get(name, []) for name in ("XMP-dc:Subject", "IPTC:Keywords")]
    keywords = [word for found in lists for word in (found if isinstance(found, list) else [found])]
    languages = [value for name, value in facts.items() if name.startswith("XMP-dc:Description")]
    found = [facts.get("XMP-dc:Description"), *languages, facts.get("IPTC:Caption-Abstract")]
    return Words(
        caption=next((text for text in found if text), None), keywords=tuple(dict.fromkeys(map(str, keywords)))
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("flags", WRITTEN.values(), ids=WRITTEN.keys())
def test_captions_and_keywords_are_those_that_exiftool_reads(tmp_path, run_exiftool, flags, suffix):
    if suffix in (".png", ".webp"):
        flags = [flag for flag in flags if "IPTC" not in flag]  # these formats have none, or none that others read
    path = save(tmp_path / f"a{suffix}", colour="red")
    if flags:
        run_exiftool("-q", "-overwrite_original", *flags, str(path))
    facts = json.loads(run_exiftool("-j", "-G1", "-XMP-dc:all", "-IPTC:all", str(path)))[0]
    data = path.read_bytes()
    photo = PhotoBytes(image_id=path.name, data=data, mtime_ns=0, content_hash=content_hash(data))
    document = decode_photo(photo, max_pixels=10**6).document
    assert Words(caption=document.caption, keywords=document.keywords) == by_exiftool(facts)
    assert bool(flags) == any(name.startswith(("XMP", "IPTC")) for name in facts)
