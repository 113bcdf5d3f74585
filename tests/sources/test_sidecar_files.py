"""Which files are sidecars of which photos. The names of Google's exports are those that tools for them report."""

import pytest

from image_embeddings.sources.sidecar_files import match_sidecars, may_be_a_sidecar

LONG = "Screenshot_20220207_102421_com.snapchat.android.jpg"


def test_a_photo_without_sidecars_has_none():
    assert match_sidecars(["a.jpg", "b.jpg"], ["c.jpg.xmp", "c.xmp", "c.jpg.json"]) == {}


def test_xmp_is_named_like_the_file_or_without_its_suffix_and_the_former_goes_first():
    others = ["a.xmp", "a.jpg.xmp", "b.xmp", "c.xmp", "d.jpg.xmp"]
    assert match_sidecars(["a.jpg", "b.CR2", "b.jpg", "d.png", "e.jpg"], others) == {
        "a.jpg": ("a.jpg.xmp", "a.xmp"),
        "b.CR2": ("b.xmp",),
        "b.jpg": ("b.xmp",),
    }


@pytest.mark.parametrize("name", ["a.JPG.xmp", "a.jpg.XMP", "A.jpg.Xmp", "A.XMP"])
def test_capitals_do_not_matter(name):
    assert match_sidecars(["a.jpg"], [name]) == {"a.jpg": (name,)}


def test_where_names_differ_in_capitals_only_each_photo_has_its_own():
    own = {"a.jpg": ("a.jpg.xmp",), "A.jpg": ("A.jpg.xmp",)}
    assert match_sidecars(["a.jpg", "A.jpg"], ["a.jpg.xmp", "A.jpg.xmp"]) == own
    assert match_sidecars(["a.jpg", "A.jpg"], ["A.jpg.xmp"]) == {"A.jpg": ("A.jpg.xmp",)}


def test_accents_may_be_letters_of_their_own():
    assert match_sidecars(["e\u0301.jpg"], ["\u00e9.jpg.xmp"]) == {"e\u0301.jpg": ("\u00e9.jpg.xmp",)}


EXPORTS = {
    "a.jpg.json": "a.jpg",
    "a.jpg.supplemental-metadata.json": "a.jpg",
    "a.jpg.supplemental-me.json": "a.jpg",
    "a.jpg.s.json": "a.jpg",
    "a.jpg..json": "a.jpg",
    "IMG_20200920_131207.jpg.supplemental-metadat.json": "IMG_20200920_131207.jpg",
    "D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg.supp.json": "D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg",
    "Screenshot_20220207_102421_com.snapchat.androi.json": LONG,
    # The number of a copy.
    "a(1).jpg.json": "a(1).jpg",
    "a.jpg(1).json": "a(1).jpg",
    "a(1).jpg.supplemental-metadata.json": "a(1).jpg",
    "Scan35.jpg.supplemental-metadata(1).json": "Scan35(1).jpg",
    "img.jpg.supple(18).json": "img(18).jpg",
    "Screenshot_20220207_102421_com.snapchat.androi(2).json": "Screenshot_20220207_102421_com.snapchat.android(2).jpg",
    # A photo without a suffix in Google Photos.
    "scan.supplemental-metadata.json": "scan.jpg",
    "scan.supplemental-metadata(1).json": "scan(1).jpg",
    # Photos that were edited there.
    "b.jpg.json": "b-edited.jpg",
    "IMG-20230325-WA0122~2.jpg.supplemental-metadat.json": "IMG-20230325-WA0122~2-edited.jpg",
    "c.jpg.supplemental-metadata.json": "c-bearbeitet.jpg",
    "d.jpg.supplemental-metadata(1).json": "d-modifié(1).jpg",
    "e.JPG.JSON": "e-編集済み.JPG",
}


@pytest.mark.parametrize(("export", "photo"), EXPORTS.items())
def test_an_export_belongs_to_its_photo(export, photo):
    assert match_sidecars([photo, "other.jpg"], [export]) == {photo: (export,)}
    assert may_be_a_sidecar(export)


@pytest.mark.parametrize(
    ("photo", "export"),
    [
        ("a.jpg", "a.jpg(1).json"),
        ("a(1).jpg", "a.jpg.json"),
        ("a(2).jpg", "a.jpg.supplemental-metadata(1).json"),
        ("a.jpg", "a.json"),
        ("metadata.jpg", "metadata.json"),
        ("a.jpg", "a.jpg.other.json"),
        ("ab.jpg", "a.json"),
        ("ab.jpg", "a.supplemental-metadata.json"),
        ("short-name-1.jpg", "short-name.json"),
    ],
)
def test_an_export_of_another_photo_is_none(photo, export):
    assert match_sidecars([photo], [export]) == {}


def test_copies_have_exports_of_their_own():
    exports = ["a.jpg.json", "a.jpg(1).json", "a.jpg.supplemental-metadata(2).json"]
    assert match_sidecars(["a.jpg", "a(1).jpg", "a(2).jpg", "a(3).jpg"], exports) == {
        "a.jpg": (exports[0],),
        "a(1).jpg": (exports[1],),
        "a(2).jpg": (exports[2],),
    }


def test_an_edited_photo_shares_the_export_of_the_original_unless_it_has_its_own():
    photos = ["a.jpg", "a-edited.jpg"]
    assert match_sidecars(photos, ["a.jpg.json"]) == dict.fromkeys(photos, ("a.jpg.json",))
    own = {"a.jpg": ("a.jpg.json",), "a-edited.jpg": ("a-edited.jpg.json",)}
    assert match_sidecars(photos, ["a.jpg.json", "a-edited.jpg.json"]) == own


def test_a_cut_name_that_fits_several_photos_belongs_to_none():
    beginning = "x" * 46
    photos = [f"{beginning}1.jpg", f"{beginning}2.jpg"]
    assert match_sidecars(photos, [f"{beginning}.json"]) == {}
    assert match_sidecars(photos[:1], [f"{beginning}.json"]) == {photos[0]: (f"{beginning}.json",)}
    whole = {photos[1]: (f"{photos[1]}.json",)}
    assert match_sidecars(photos, [f"{photos[1]}.json"]) == whole


def test_xmp_goes_before_an_export():
    assert match_sidecars(["a.jpg"], ["a.jpg.json", "a.xmp"]) == {"a.jpg": ("a.xmp", "a.jpg.json")}


@pytest.mark.parametrize(
    "name", ["metadata.json", "a.json", "a.txt", "a.jpg", "a.mp4.json", "xmp", "json", "", "(1).json"]
)
def test_other_files_are_no_sidecars(name):
    assert not may_be_a_sidecar(name)


def test_a_hundred_thousand_names_are_matched_at_once():
    photos = [f"{'x' * 44}{number:06}.jpg" for number in range(50_000)]
    exports = [f"{photo[:46]}.json" for photo in photos] + [f"{photo}.xmp" for photo in photos]
    assert len(match_sidecars(photos, exports)) == 50_000
