import pytest

from image_embeddings.photos import captions
from image_embeddings.photos.captions import CAPTION_LENGTH, KEYWORD_LENGTH, MAX_BYTES, MAX_KEYWORDS, Words, words
from tests.worded_photos import XMP, iptc, xmp


def test_xmp_gives_caption_and_keywords():
    found = words(xmp=xmp(captions={"x-default": "Am Meer &amp; mehr"}, keywords=["sea", "海"]))
    assert found == Words(caption="Am Meer & mehr", keywords=("sea", "海"))


def test_of_several_languages_the_default_one_is_taken():
    assert words(xmp=xmp(captions={"fr": "La mer", "x-default": "The sea"})).caption == "The sea"
    assert words(xmp=xmp(captions={"fr": "La mer", "de": "Das Meer"})).caption == "La mer"


def test_the_short_form_of_a_caption_is_read():
    packet = XMP.format("").replace('rdf:about=""', 'dc:description="The sea"').replace("xmlns:dc", " xmlns:dc")
    assert words(xmp=packet.encode()).caption == "The sea"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_packet_may_be_padded_and_in_utf_16(encoding):
    packet = xmp(captions={"x-default": "Küste"}).decode().replace("\ufeff", "").encode(encoding)
    assert words(xmp=packet + b" \n" * (encoding == "utf-8")).caption == "Küste"


def test_keywords_of_something_else_are_none():
    packet = XMP.format("<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li></rdf:Seq></dc:creator>")
    assert words(xmp=packet.encode()) == Words()


@pytest.mark.parametrize("utf8", [True, False])
def test_iptc_gives_caption_and_keywords_in_the_encoding_it_says(utf8):
    encoding = "utf-8" if utf8 else "cp1252"
    records = iptc(caption="Küste".encode(encoding), keywords=["été".encode(encoding), b"sea"], utf8=utf8)
    assert words(iptc=records) == Words(caption="Küste", keywords=("été", "sea"))


def test_the_caption_of_xmp_goes_first_and_keywords_of_both_count_once():
    found = words(
        xmp=xmp(captions={"x-default": "new"}, keywords=["b", "a"]), iptc=iptc(caption=b"old", keywords=[b"a", b"c"])
    )
    assert found == Words(caption="new", keywords=("b", "a", "c"))


def test_an_empty_caption_is_none():
    assert words(xmp=xmp(captions={"x-default": " \n"}), iptc=iptc(caption=b"  ")).caption is None


def test_what_is_too_long_or_too_much_is_cut():
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


def test_a_file_of_the_machine_is_not_read_by_an_entity():
    packet = xmp(captions={"x-default": "&f;"}, keywords=["a"]).decode()
    assert words(xmp=f'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>{packet}'.encode()) == Words()


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", b"<", b"<a>&undefined;</a>", b'<?xml version="1.0" encoding="none"?><a/>']
)
def test_damaged_xmp_says_nothing(data):
    assert words(xmp=data) == Words()


def test_what_stands_before_the_damage_counts():
    packet = xmp(captions={"x-default": "whole"}, keywords=["a", "b"])
    assert words(xmp=packet[: packet.index(b"b</rdf:li>")]) == Words(caption="whole", keywords=("a",))


@pytest.mark.parametrize(
    "data", [b"\x1c", b"\x1c\2\x78\0", b"\x1c\2\x78\xff\xff" + b"x" * 99, b"nonsense", b"\x1c\2\x78\0\0"]
)
def test_damaged_iptc_says_nothing(data):
    assert words(iptc=data) == Words()


def test_words_are_one_line_of_printable_text():
    assert words(iptc=iptc(caption=b"a\r\nb\x07c\0hidden")).caption == "a b c"
    assert (
        words(xmp=xmp(captions={"x-default": "می\u200cخواهم 👩\u200d👧 \u202eevil"})).caption
        == "می\u200cخواهم 👩\u200d👧 evil"
    )


def test_records_of_iptc_are_read_in_order():
    assert [kind for kind, _ in captions._records(iptc(caption=b"x", keywords=[b"y"]))] == [(2, 120), (2, 25)]
