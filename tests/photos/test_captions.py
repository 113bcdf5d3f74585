import codecs
import json
import random

import pytest
from PIL import ExifTags, Image

from image_embeddings.photos import captions
from image_embeddings.photos.captions import CAPTION_LENGTH, KEYWORD_LENGTH, MAX_KEYWORDS, Words
from image_embeddings.photos.iptc import records
from image_embeddings.photos.photo import PhotoBytes, content_hash, decode_photo
from image_embeddings.photos.xmp import MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS
from image_embeddings.photos.xmp import read as read_xmp
from tests.pictures import save
from tests.worded_photos import XMP
from tests.worded_photos import iptc as iptc_packet
from tests.worded_photos import xmp as xmp_packet


def words(*, xmp=b"", **sources):
    return captions.words(xmp=read_xmp(xmp), **sources)


def test_xmp_gives_caption_and_keywords():
    found = words(xmp=xmp_packet(captions={"x-default": "Am Meer &amp; mehr"}, keywords=["sea", "海"]))
    assert found == Words(caption="Am Meer & mehr", keywords=("sea", "海"))


def test_the_default_language_of_several_is_used():
    assert words(xmp=xmp_packet(captions={"fr": "La mer", "x-default": "The sea"})).caption == "The sea"
    assert words(xmp=xmp_packet(captions={"fr": "La mer", "de": "Das Meer"})).caption == "La mer"


def test_the_short_form_of_a_caption_is_read():
    packet = XMP.format("").replace('rdf:about=""', 'dc:description="The sea"').replace("xmlns:dc", " xmlns:dc")
    assert words(xmp=packet.encode()).caption == "The sea"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_packet_may_be_padded_and_in_utf_16(encoding):
    packet = xmp_packet(captions={"x-default": "Küste"}).decode().replace("\ufeff", "").encode(encoding)
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
    packet = xmp_packet(captions={"x-default": "Küste"}, keywords=["海"]).decode().replace("\ufeff", "")
    padded = packet.replace('<?xpacket end="w"?>', " \n" * 2_000 + end)
    assert words(xmp=mark + padded.encode(encoding)) == Words(caption="Küste", keywords=("海",))


def test_a_packet_may_be_padded_with_zeros():
    assert words(xmp=xmp_packet(keywords=["sea"]) + b"\0" * 4_000).keywords == ("sea",)


def test_keywords_of_other_elements_are_ignored():
    packet = XMP.format("<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li></rdf:Seq></dc:creator>")
    assert words(xmp=packet.encode()) == Words()


@pytest.mark.parametrize("utf8", [True, False])
def test_iptc_gives_caption_and_keywords_in_its_declared_encoding(utf8):
    encoding = "utf-8" if utf8 else "cp1252"
    packet = iptc_packet(caption="Küste".encode(encoding), keywords=["été".encode(encoding), b"sea"], utf8=utf8)
    assert words(iptc=packet) == Words(caption="Küste", keywords=("été", "sea"))


def test_the_caption_of_xmp_goes_first_and_keywords_of_both_count_once():
    found = words(
        xmp=xmp_packet(captions={"x-default": "new"}, keywords=["b", "a"]),
        iptc=iptc_packet(caption=b"old", keywords=[b"a", b"c"]),
    )
    assert found == Words(caption="new", keywords=("b", "a", "c"))


def test_an_empty_caption_is_ignored():
    assert words(xmp=xmp_packet(captions={"x-default": " \n"}), iptc=iptc_packet(caption=b"  ")).caption is None


def test_long_texts_and_many_keywords_are_cut():
    found = words(
        xmp=xmp_packet(captions={"x-default": "x" * 1_000_000}, keywords=[f"{n}" + "y" * 999 for n in range(500)])
    )
    assert len(found.caption) == CAPTION_LENGTH
    assert (len(found.keywords), len(found.keywords[0])) == (MAX_KEYWORDS, KEYWORD_LENGTH)


def test_a_packet_of_megabytes_is_not_read():
    assert words(xmp=xmp_packet(captions={"x-default": "x" * MAX_BYTES})) == Words()


def test_entities_are_not_expanded():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + xmp_packet(
        captions={"x-default": "&b;"}
    ).decode().replace("\ufeff", "")
    assert words(xmp=bomb.encode()) == Words()


def test_a_billion_laughs_attack_has_no_effect():
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    packet = xmp_packet(captions={"x-default": "&l9;"}, keywords=["sea"]).decode()
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
    packet = xmp_packet(captions={"x-default": "The sea"}, keywords=["a"]).decode().replace("\ufeff", "")
    assert words(xmp=f"{doctype}{packet}".encode()) == Words()


def test_an_entity_cannot_read_a_file_of_the_machine():
    packet = xmp_packet(captions={"x-default": "&f;"}, keywords=["a"]).decode()
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
    packet = xmp_packet(captions={"x-default": "The sea", "de": "Das Meer"}, keywords=["sea", "海"])
    chance = random.Random(13)
    found = set()
    for _ in range(1_500):
        damaged = bytearray(packet)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        found.add(words(xmp=bytes(damaged[: chance.randint(1, len(damaged))])))
    whole = words(xmp=packet)
    assert found > {Words(), Words(caption="The sea"), Words(caption="The sea", keywords=("sea",)), whole}


@pytest.mark.parametrize(
    ("written", "caption"),
    [
        (b"The \0\x0bsea", "The sea"),
        (b"Tom & Jerry &amp; Co", "Tom & Jerry & Co"),
        (b"fish &nbsp; chips", "fish &nbsp; chips"),
        (b"a &#0; b &#xB; c &#x2603;", "a &#0; b &#xB; c \u2603"),
        (b"a&#xA;b&#10;c&#x0d;d&#13;e&#9;f&#x09;g&#38;h&#x26;", "a b c d e f g&h&"),
        (b"K\xfcste", "K\ufffdste"),
    ],
)
def test_what_xml_does_not_allow_costs_only_itself(written, caption):
    packet = xmp_packet(captions={"x-default": "@"}, keywords=["later"]).replace(b"@", written)
    assert words(xmp=packet) == Words(caption=caption, keywords=("later",))


def test_a_packet_that_names_another_encoding_is_read_in_it():
    packet = xmp_packet(captions={"x-default": "Küste"}).decode().replace("\ufeff", "")
    named = "<?xml version='1.0' encoding='ISO-8859-1'?>" + packet
    assert words(xmp=named.encode("latin-1")).caption == "Küste"
    assert words(xmp=named.replace("ISO-8859-1", "UTF-8").encode()).caption == "Küste"


@pytest.mark.parametrize("text", ["<OME>{}</OME>", "<?xml version='1.0'?><a>{}</a>", '{{"key": "{}"}}'])
def test_a_record_for_programs_is_no_caption_however_long_it_is(text):
    exif = Image.Exif()
    for length in (10, CAPTION_LENGTH, 100_000):
        exif[ExifTags.Base.ImageDescription] = text.format("x " * length)
        assert words(exif=exif).caption is None
    exif[ExifTags.Base.ImageDescription] = "<3 " + "my love " * 1_000
    assert words(exif=exif).caption.startswith("<3 my love")


def test_words_before_the_damage_are_used():
    packet = xmp_packet(captions={"x-default": "whole"}, keywords=["a", "b"])
    assert words(xmp=packet[: packet.index(b"b</rdf:li>")]) == Words(caption="whole", keywords=("a",))


@pytest.mark.parametrize(
    "data", [b"\x1c", b"\x1c\2\x78\0", b"\x1c\2\x78\xff\xff" + b"x" * 99, b"nonsense", b"\x1c\2\x78\0\0"]
)
def test_damaged_iptc_is_ignored(data):
    assert words(iptc=data) == Words()


def test_words_are_one_line_of_printable_text():
    assert words(iptc=iptc_packet(caption=b"a\r\nb\x07c\0hidden")).caption == "a b c"
    assert (
        words(xmp=xmp_packet(captions={"x-default": "می\u200cخواهم 👩\u200d👧 \u202eevil"})).caption
        == "می\u200cخواهم 👩\u200d👧 evil"
    )


def test_records_of_iptc_are_read_in_order():
    assert [kind for kind, _ in records(iptc_packet(caption=b"x", keywords=[b"y"]))] == [(2, 120), (2, 25)]


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


def by_exiftool(facts):
    """Return the words that exiftool reads, by our rules: first the caption of XMP; keywords of both, each once."""
    lists = [facts.get(name, []) for name in ("XMP-dc:Subject", "IPTC:Keywords")]
    keywords = [word for found in lists for word in (found if isinstance(found, list) else [found])]
    languages = [value for name, value in facts.items() if name.startswith("XMP-dc:Description")]
    title = facts.get("XMP-dc:Title")
    found = [facts.get("XMP-dc:Description"), *languages, facts.get("IPTC:Caption-Abstract"), title]
    caption = next((text for text in found if text), None)
    return Words(caption=caption, title=title, keywords=tuple(dict.fromkeys(map(str, keywords))))


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
    found = Words(caption=document.caption, title=document.title, keywords=document.keywords)
    assert found == by_exiftool(facts)
    assert bool(flags) == any(name.startswith(("XMP", "IPTC")) for name in facts)


# Where words come from. Each source is tried alone, and with those that go before and after it.

NAMESPACES = (
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    ' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"'
    ' xmlns:exifEX="http://cipa.jp/exif/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:MP="http://ns.microsoft.com/photo/1.2/"'
    ' xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#"'
    ' xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#"'
)
DESCRIPTION, XP_TITLE, XP_COMMENT, XP_KEYWORDS, XP_SUBJECT, SOFTWARE = 0x10E, 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F, 0x131
USER_COMMENT = 0x9286


def packet_of(inside):
    return XMP.format(inside).replace(' rdf:about=""', f' rdf:about=""{NAMESPACES}').encode()


def alternatives(name, text):
    return f'<{name}><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{name}>'


def exif_of(tags=None, *, comment=None, order="<"):
    made = Image.Exif()
    made.endian = order
    made.update(tags or {})
    if comment is not None:
        made.get_ifd(ExifTags.IFD.Exif)[USER_COMMENT] = comment
    return made


def datasets(*entries, utf8=True):
    """Return IPTC with these entries: dataset number of record 2, and text."""
    packet = iptc_packet(utf8=utf8) if utf8 else b""
    for number, text in entries:
        data = text.encode() if isinstance(text, str) else text
        packet += b"\x1c\2" + bytes([number]) + len(data).to_bytes(2, "big") + data
    return packet.replace(b"\x1c\2\x78\0\0", b"")


# From the first that is a photo's caption to the last
CAPTION_SOURCES = [
    ("xmp", alternatives("dc:description", "{}")),
    ("iptc", 120),
    ("exif", DESCRIPTION),
    ("xmp", alternatives("tiff:ImageDescription", "{}")),
    ("xmp", "<photoshop:Headline>{}</photoshop:Headline>"),
    ("iptc", 105),
    ("xmp", alternatives("dc:title", "{}")),
    ("iptc", 5),
    ("exif", XP_TITLE),
    ("exif", XP_SUBJECT),
    ("exif", XP_COMMENT),
    ("comment", b"ASCII\0\0\0"),
    ("xmp", alternatives("exif:UserComment", "{}")),
]


def caption_of(texts):
    """Return the caption of a photo with these texts, by their number in CAPTION_SOURCES."""
    inside, entries, tags, comment = "", [], {}, None
    for number, text in texts.items():
        kind, where = CAPTION_SOURCES[number]
        if kind == "xmp":
            inside += where.format(text)
        elif kind == "iptc":
            entries.append((where, text))
        elif kind == "exif":
            tags[where] = text if where == DESCRIPTION else text.encode("utf-16-le") + b"\0\0"
        else:
            comment = where + text.encode()
    return words(xmp=packet_of(inside), iptc=datasets(*entries), exif=exif_of(tags, comment=comment)).caption


@pytest.mark.parametrize("first", range(len(CAPTION_SOURCES)))
def test_the_caption_is_that_of_the_first_source_that_says_something(first):
    numbered = {number: f"caption number {number}" for number in range(len(CAPTION_SOURCES))}
    later = {number: text for number, text in numbered.items() if number >= first}
    assert caption_of({first: numbered[first]}) == numbered[first]
    assert caption_of(later) == numbered[first]
    for default in ("OLYMPUS DIGITAL CAMERA", "Created with GIMP", " ", "SONY DSC"):
        assert caption_of({**dict.fromkeys(range(first), default), **later}) == numbered[first]
        assert caption_of({first: default}) is None


def test_title_and_headline_are_kept_beside_a_caption():
    inside = alternatives("dc:title", "A title") + "<photoshop:Headline>A headline</photoshop:Headline>"
    found = words(xmp=packet_of(alternatives("dc:description", "The sea") + inside))
    assert (found.caption, found.title, found.headline) == ("The sea", "A title", "A headline")
    older = words(iptc=datasets((5, "A title"), (105, "A headline"), (120, "The sea")))
    assert (older.caption, older.title, older.headline) == ("The sea", "A title", "A headline")


def test_cities_and_countries_are_read():
    new = packet_of("<photoshop:City>Köln</photoshop:City><photoshop:Country>Deutschland</photoshop:Country>")
    old = datasets((90, "Rome"), (101, "Italy"))
    assert (words(xmp=new, iptc=old).city, words(xmp=new, iptc=old).country) == ("Köln", "Deutschland")
    assert (words(iptc=old).city, words(iptc=old).country) == ("Rome", "Italy")


REGION = "<rdf:li{}><mwg-rs:Name>{}</mwg-rs:Name><mwg-rs:Type>{}</mwg-rs:Type></rdf:li>"
RESOURCE = ' rdf:parseType="Resource"'
MWG = f"<mwg-rs:Regions{RESOURCE}><mwg-rs:RegionList><rdf:Bag>{{}}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
PERSONS = {
    "listed": "<Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Ada</rdf:li><rdf:li>Bo</rdf:li></rdf:Bag>"
    "</Iptc4xmpExt:PersonInImage>",
    "faces": MWG.format(
        REGION.format(RESOURCE, "Ada", "Face")
        + REGION.format(RESOURCE, "Bo", "Face")
        + REGION.format(RESOURCE, "x", "Focus")
    ),
    "short faces": MWG.format(
        '<rdf:li><rdf:Description mwg-rs:Name="Ada" mwg-rs:Type="Face"/></rdf:li><rdf:li mwg-rs:Name="Bo"/>'
    ),
    "by Windows": f"<MP:RegionInfo{RESOURCE}><MPRI:Regions><rdf:Bag>"
    f"<rdf:li{RESOURCE}><MPReg:PersonDisplayName>Ada</MPReg:PersonDisplayName></rdf:li>"
    '<rdf:li MPReg:PersonDisplayName="Bo" MPReg:Rectangle="0, 0, 1, 1"/></rdf:Bag></MPRI:Regions></MP:RegionInfo>',
}


@pytest.mark.parametrize("inside", [*PERSONS.values(), "".join(PERSONS.values())], ids=[*PERSONS, "all"])
def test_persons_are_read_each_once(inside):
    assert words(xmp=packet_of(inside)).persons == ("Ada", "Bo")


@pytest.mark.parametrize("place", ["xmpMM:Pantry", "xmpMM:History", "xmpMM:DerivedFrom", "photoshop:DocumentAncestors"])
def test_words_of_other_pictures_inside_are_left_out(place):
    other = (
        alternatives("dc:description", "Another picture")
        + alternatives("dc:title", "Another")
        + "<dc:subject><rdf:Bag><rdf:li>secret</rdf:li></rdf:Bag></dc:subject><photoshop:City>Rome</photoshop:City>"
        + PERSONS["listed"]
    )
    for form in (
        f"<rdf:Bag><rdf:li{RESOURCE}>{other}</rdf:li></rdf:Bag>",
        f"<rdf:Bag><rdf:li><rdf:Description>{other}</rdf:Description></rdf:li></rdf:Bag>",
        f"<rdf:Description>{other}</rdf:Description>",
        f"<rdf:RDF><rdf:Description>{other}</rdf:Description></rdf:RDF>",
    ):
        pasted = f"<{place}>{form}</{place}>"
        assert words(xmp=packet_of(pasted)) == Words()
        own = "<dc:subject><rdf:Bag><rdf:li>lion</rdf:li></rdf:Bag></dc:subject>"
        for inside in (pasted + own, own + pasted):
            assert words(xmp=packet_of(inside)) == Words(keywords=("lion",))


@pytest.mark.parametrize(
    "form",
    [
        "<dc:subject><rdf:Seq><rdf:li>sea</rdf:li></rdf:Seq></dc:subject>",
        "<dc:subject>sea</dc:subject>",
        "<dc:subject><rdf:Bag><rdf:li><rdf:Description><rdf:value>sea</rdf:value></rdf:Description></rdf:li></rdf:Bag></dc:subject>",
        f"<dc:subject><rdf:Bag><rdf:li{RESOURCE}><rdf:value>sea</rdf:value><xmp:x>y</xmp:x></rdf:li></rdf:Bag></dc:subject>",
        '<dc:subject><rdf:Bag><rdf:li rdf:value="sea"/></rdf:Bag></dc:subject>',
    ],
)
def test_keywords_are_read_in_all_forms_of_rdf(form):
    assert words(xmp=packet_of(form)).keywords == ("sea",)


MAC = {SOFTWARE: "Adobe Photoshop CS2 Macintosh"}


@pytest.mark.parametrize("text", ["Hörsysteme für alle", "Curaçao – été", "Ærø “quoted”"])
def test_iptc_of_a_macintosh_is_in_its_letters(text):
    entries = datasets((120, text.encode("mac_roman")), (25, text.encode("mac_roman")), utf8=False)
    for found in (
        words(iptc=entries, exif=exif_of(MAC)),
        words(iptc=entries, xmp=packet_of("<xmp:CreatorTool>Adobe Photoshop 7.0 Macintosh</xmp:CreatorTool>")),
        words(iptc=entries + datasets((65, b"Some Program for Macintosh"), utf8=False)),
    ):
        assert found == Words(caption=text, keywords=(text,))
    in_utf8 = datasets((120, text), (25, text))
    assert words(iptc=in_utf8, exif=exif_of(MAC)) == Words(caption=text, keywords=(text,))
    in_windows = datasets((120, text.encode("cp1252")), utf8=False)
    assert words(iptc=in_windows).caption == text


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "mac_roman"])
@pytest.mark.parametrize("software", ["", "Adobe Photoshop Macintosh", "Adobe Photoshop Windows"])
def test_a_keyword_of_xmp_is_not_doubled_by_its_older_form(encoding, software):
    older = datasets((25, "für".encode(encoding)), (25, b"sea"), utf8=False)
    newer = xmp_packet(keywords=["für", "alle"])
    assert words(xmp=newer, iptc=older, exif=exif_of({SOFTWARE: software})).keywords == ("für", "alle", "sea")


def test_an_entry_of_iptc_of_more_than_32_kilobytes_is_passed_over():
    large = b"\x1c\2\xca\x80\4" + (40_000).to_bytes(4, "big") + b"x" * 40_000
    assert words(iptc=large + iptc_packet(caption=b"The sea")).caption == "The sea"


@pytest.mark.parametrize("kind", [bytes, tuple])
def test_the_texts_of_windows_are_in_utf_16(kind):
    tags = {
        XP_TITLE: kind("Küste 海\0".encode("utf-16-le")),
        XP_KEYWORDS: kind("sea; Küste ;海;N;\0".encode("utf-16-le")),
    }
    assert words(xmp=b"", exif=exif_of(tags)) == Words(caption="Küste 海", keywords=("sea", "Küste", "海"))


COMMENTS = {
    "ASCII": b"ASCII\0\0\0The sea",
    "padded": b"ASCII\0\0\0  The sea   \0\0",
    "no name": bytes(8) + b"The sea",
    "text alone": b"The sea",
    "little": b"UNICODE\0" + "The sea".encode("utf-16-le"),
    "big": b"UNICODE\0" + "The sea".encode("utf-16-be"),
    "marked": b"UNICODE\0" + "The sea".encode("utf-16"),
    "ASCII called Unicode": b"UNICODE\0The sea!",
    "JIS": b"JIS\0\0\0\0\0" + "The sea".encode("iso2022_jp"),
}


@pytest.mark.parametrize("comment", COMMENTS.values(), ids=COMMENTS.keys())
def test_a_comment_is_read_in_its_encoding(comment):
    for written in (comment, tuple(comment), comment.decode("latin-1")):
        assert words(exif=exif_of(comment=written)).caption.rstrip("!") == "The sea"


@pytest.mark.parametrize(
    ("name", "encoding"), [("UNICODE", "utf-16-le"), ("UNICODE", "utf-16-be"), ("JIS", "iso2022_jp")]
)
def test_a_comment_of_another_script_is_read(name, encoding):
    comment = name.encode().ljust(8, b"\0") + "海の写真".encode(encoding)
    order = ">" if encoding.endswith("be") else "<"
    assert words(exif=exif_of(comment=comment, order=order)).caption == "海の写真"


@pytest.mark.parametrize(
    "comment", [b"", b"ASCII\0\0\0", bytes(200), b"ASCII\0\0\0" + b" " * 99, b"\1\2\3\4" * 20, 5, None]
)
def test_a_comment_that_says_nothing_is_left_out(comment):
    assert words(exif=exif_of(comment=comment)) == Words()


def photo_with(tmp_path, run_exiftool, *flags, suffix=".jpg"):
    path = save(tmp_path / f"a{suffix}", colour="red")
    run_exiftool("-q", "-overwrite_original", *flags, str(path))
    data = path.read_bytes()
    photo = PhotoBytes(image_id=path.name, data=data, mtime_ns=0, content_hash=content_hash(data))
    return decode_photo(photo, max_pixels=10**6).document


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png", ".webp"])
def test_all_words_that_exiftool_writes_are_read(tmp_path, run_exiftool, suffix):
    fields = {"XMP-dc:Title": "A title", "XMP-photoshop:Headline": "A headline", "XMP-photoshop:City": "Köln"}
    fields |= {
        "XMP-photoshop:Country": "Deutschland",
        "XMP-iptcExt:PersonInImage": "Ada",
        "EXIF:XPKeywords": "sea;ship",
    }
    flags = [f"-{name}={value}" for name, value in fields.items()]
    found = photo_with(
        tmp_path, run_exiftool, *flags, "-XMP-mwg-rs:RegionInfo={RegionList=[{Name=Bo,Type=Face}]}", suffix=suffix
    )
    assert (found.caption, found.title, found.headline) == ("A headline", "A title", "A headline")
    assert (found.city, found.country, found.persons) == ("Köln", "Deutschland", ("Ada", "Bo"))
    assert found.keywords == ("sea", "ship")


@pytest.mark.parametrize(
    "tag", ["EXIF:ImageDescription", "EXIF:XPTitle", "EXIF:XPComment", "EXIF:UserComment", "IPTC:ObjectName"]
)
def test_a_text_that_exiftool_writes_is_the_caption_if_there_is_no_other(tmp_path, run_exiftool, tag):
    flags = ["-IPTC:CodedCharacterSet=UTF8", f"-{tag}=Die Küste am Meer"]
    assert photo_with(tmp_path, run_exiftool, *flags).caption == "Die Küste am Meer"


@pytest.mark.parametrize(
    ("flags", "lens"),
    [
        (["-ExifIFD:LensModel=50mm F1.8", "-XMP-aux:Lens=another"], "50mm F1.8"),
        (["-XMP-aux:Lens=24-70mm F2.8"], "24-70mm F2.8"),
        (["-XMP-exifEX:LensModel=24-70mm F2.8", "-XMP-aux:Lens=another"], "24-70mm F2.8"),
        (["-ExifIFD:LensModel=----", "-XMP-aux:Lens=24-70mm F2.8"], "24-70mm F2.8"),
        (["-XMP-aux:Lens=0.0 mm f/0.0"], None),
        (["-XMP-aux:LensID=12"], None),
    ],
)
def test_the_lens_is_that_of_exif_or_of_xmp(tmp_path, run_exiftool, flags, lens):
    assert photo_with(tmp_path, run_exiftool, *flags).lens == lens
