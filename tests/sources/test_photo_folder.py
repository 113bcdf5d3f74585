import os
from pathlib import Path

import pytest
from PIL import Image, TiffImagePlugin
from pillow_heif import register_heif_opener

from image_embeddings.errors import CorpusError, ImageUnreadableError
from image_embeddings.photos import decoding, raw
from image_embeddings.photos.photo import content_hash, decode_photo
from image_embeddings.sources import folders, photo_folder, reading
from image_embeddings.sources.passed_over import PassedOver
from tests.pictures import save
from tests.raw_photos import dng
from tests.worded_photos import iptc, jpeg_with_iptc, xmp

register_heif_opener()  # for what tests save


def walked(folder):
    skipped = []
    found = [file.image_id for file in photo_folder.walk(folder, skip=skipped.append)]
    return found, {skip.image_id: skip.reason for skip in skipped}


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_every_suffix_is_found_in_any_case_and_depth(tmp_path):
    names = ["a.jpg", "B.JPEG", "c.Png", "d/e.webp", "d/f/g.GIF", "h.bmp", "i.tif", "j.TIFF", "k.HEIC", "l.heif"]
    names += ["m.hif", "n.avif", "o.DNG", "p.cr2", "q.CR3", "r.nef", "s.arw", "t.raf", "u.orf", "v.RW2"]
    for name in [*names, "w.txt", "x.svg", "y"]:
        touch(tmp_path / name)
    assert sorted(walked(tmp_path)[0]) == sorted(names)


@pytest.mark.parametrize(
    "name", ["日本語/写真.jpg", "Ä ö.jpg", "e\u0301.jpg", "emoji 🐈.jpg", "line\u2028break.jpg", "quo\"te'.jpg"]
)
def test_any_unicode_name_is_an_image_id_unchanged(tmp_path, name):
    touch(tmp_path / name)
    assert walked(tmp_path)[0] == [name]


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path / ".thumbs" / "a.jpg")
    touch(tmp_path / "._b.jpg")
    assert walked(tmp_path) == ([], {})


def test_a_folder_can_be_left_out(tmp_path):
    touch(tmp_path / "data" / "thumbnail.webp")
    touch(tmp_path / "a.jpg")
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for own_data in ("data", "b/../data", "link/data"):
        found = photo_folder.walk(tmp_path, skip=pytest.fail, leave_out=tmp_path / own_data)
        assert [file.image_id for file in found] == ["a.jpg"]


def passed_over(folder, **choices):
    """Return the photos, and what a walk passed over."""
    passed = PassedOver()
    found = [file.image_id for file in photo_folder.walk(folder, skip=pytest.fail, passed=passed, **choices)]
    return found, passed


@pytest.mark.parametrize("suffix", sorted(decoding.SUFFIXES))
def test_files_of_each_suffix_that_decoders_know_are_read_by_their_content(tmp_path, suffix):
    save(tmp_path / f"a{suffix.upper()}", colour="red", format="JPEG")
    (file,) = photo_folder.walk(tmp_path, skip=pytest.fail)
    assert decode_photo(reading.load(file, tmp_path), max_pixels=10_000).document.width == 64


OTHER_NAMES_OF_PHOTOS = ["jfif", "jpe", "pjpeg", "mpo", "heics", "avifs", "dib", "pef", "srw", "nrw", "crw", "x3f"]


def test_less_common_names_of_photos_are_known():
    assert {f".{name}" for name in OTHER_NAMES_OF_PHOTOS} <= decoding.SUFFIXES


def test_raw_files_without_the_layout_of_tiff_are_known_by_their_beginning():
    beginnings = {"crw": b"II\x1a\0\0\0HEAPCCDR", "x3f": b"FOVb\3\0\2\0", "mrw": b"\0MRM\0\0\0\0"}
    assert [name for name, data in beginnings.items() if not raw.is_raw(data + bytes(100))] == []


def test_other_files_are_counted_by_kind(tmp_path):
    for name in ["a.psd", "b.PSD", "c.mov", "noext", "v1.2 final draft", ".hidden.mov", "photo.jpg"]:
        touch(tmp_path / name)
    found, passed = passed_over(tmp_path)
    assert (found, passed.other_files) == (["photo.jpg"], {".psd": 2, ".mov": 1, "": 2})


def sidecars(folder):
    """Return the names of each photo's sidecars, and the other files."""
    passed = PassedOver()
    found = photo_folder.walk(folder, skip=pytest.fail, passed=passed)
    return {file.image_id: [sidecar.file for sidecar in file.sidecars] for file in found}, passed.other_files


def test_the_sidecars_of_photos_are_no_other_files(tmp_path):
    for name in ["a.jpg", "a.jpg.xmp", "sub/a.jpg", "sub/a.XMP", "sub/a.jpg.json", "sub/b.xmp", "metadata.json"]:
        touch(tmp_path / name)
    found = {"a.jpg": ["a.jpg.xmp"], "sub/a.jpg": ["sub/a.XMP", "sub/a.jpg.json"]}
    assert sidecars(tmp_path) == (found, {".xmp": 1, ".json": 1})


def test_a_sidecar_that_is_hidden_left_out_or_a_link_elsewhere_is_none(tmp_path):
    photos = tmp_path / "photos"
    for name in ["a.jpg", ".a.jpg.xmp", "b.jpg", "b.jpg.xmp", "c.jpg", "d.jpg", "e.jpg"]:
        touch(photos / name)
    touch(tmp_path / "outside.xmp")
    (photos / ".ignore").write_text("b.jpg.xmp\n")
    (photos / "c.jpg.xmp").symlink_to(tmp_path / "outside.xmp")
    (photos / "d.jpg.xmp").symlink_to(photos / ".a.jpg.xmp")
    os.mkfifo(photos / "e.jpg.xmp")
    found, others = sidecars(photos)
    assert found == {"a.jpg": [], "b.jpg": [], "c.jpg": [], "d.jpg": ["d.jpg.xmp"], "e.jpg": []}
    assert others == {".xmp": 2}


def test_a_folder_without_sidecars_is_listed_once_and_nothing_else_is_asked_for(tmp_path, monkeypatch):
    for number in range(20):
        touch(tmp_path / f"{number}.jpg")
        touch(tmp_path / f"{number}.txt")
    calls = []
    real_scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: calls.append(path) or real_scandir(path))
    monkeypatch.setattr(photo_folder, "match_sidecars", lambda *names: pytest.fail("no file is named like a sidecar"))
    assert len(sidecars(tmp_path)[0]) == 20
    assert calls == [tmp_path]


def state(folder):
    (file,) = photo_folder.walk(folder, skip=pytest.fail)
    return file.sidecar_state


def test_the_state_of_sidecars_differs_after_each_change(tmp_path):
    photos = tmp_path / "photos"
    touch(photos / "a.jpg")
    seen = [state(photos)]
    sidecar = photos / "a.jpg.xmp"
    changes = (
        lambda: sidecar.write_bytes(b"<a/>"),
        lambda: sidecar.write_bytes(b"<ab/>"),
        lambda: (sidecar.write_bytes(b"<cd/>"), os.utime(sidecar, ns=(1, 1))),
        lambda: (sidecar.write_bytes(b"<ef/>"), os.utime(sidecar, ns=(1, 1))),
        lambda: sidecar.rename(photos / "a.xmp"),
        lambda: touch(photos / "a.jpg.json"),
    )
    for change in changes:
        change()
        seen.append(state(photos))
    assert seen[0] is None
    assert len({*seen}) == len(changes) + 1
    assert state(photos) == seen[-1]
    (photos / "a.xmp").unlink()
    (photos / "a.jpg.json").unlink()
    assert state(photos) is None


def test_a_sidecar_that_cannot_be_opened_is_named_and_tried_again(tmp_path):
    (tmp_path / "photos").mkdir()
    save(tmp_path / "photos" / "a.jpg", colour="red")
    (tmp_path / "photos" / "a.jpg.xmp").write_bytes(xmp(captions={"x-default": "Sea"}))
    (file,) = photo_folder.walk(tmp_path / "photos", skip=pytest.fail)
    assert reading.load(file, tmp_path / "photos").sidecar_state == file.sidecar_state
    (tmp_path / "photos" / "a.jpg.xmp").unlink()
    content = reading.load(file, tmp_path / "photos")
    assert (content.sidecars, content.sidecar_state) == ((), None)
    (fault,) = content.sidecar_faults
    assert fault.file == "a.jpg.xmp"
    assert fault.reason.startswith("cannot be opened (No such file or directory): it is gone")


def test_a_huge_sidecar_is_not_read(tmp_path):
    save(tmp_path / "a.jpg", colour="red")
    with (tmp_path / "a.jpg.xmp").open("wb") as sidecar:
        sidecar.truncate(2**40)  # sparse: this takes no room on the disk
    (file,) = photo_folder.walk(tmp_path, skip=pytest.fail)
    content = reading.load(file, tmp_path)
    assert (content.sidecars, content.sidecar_state) == ((), file.sidecar_state)
    assert content.sidecar_faults[0].reason.startswith("it has more than 4,194,304 bytes")


def test_linked_folders_are_counted_whatever_their_names(tmp_path):
    touch(tmp_path / "outside" / "a.jpg")
    photos = tmp_path / "photos"
    touch(photos / "sub" / "b.jpg")
    for name, target in {"linkdir": tmp_path / "outside", "like.jpg": photos / "sub", "loop": photos}.items():
        (photos / name).symlink_to(target)
    found, passed = passed_over(photos)
    assert (found, passed.linked_folders, passed.other_files) == (["sub/b.jpg"], 3, {})


def test_links_in_a_circle_are_not_resolved(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    assert photo_folder.resolve(tmp_path, "a.jpg") is None


def test_a_file_that_vanished_is_named(tmp_path):
    touch(tmp_path / "a.jpg")
    file = next(photo_folder.walk(tmp_path, skip=pytest.fail))
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(CorpusError, match=r"a\.jpg cannot be opened"):
        reading.load(file, tmp_path)


def test_a_name_that_is_not_unicode_is_skipped_with_its_reason(tmp_path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))).write_bytes(b"x")
    assert walked(tmp_path) == ([], {"caf\ufffd.jpg": "its name is not valid UTF-8: rename it"})


CONTROLS = [chr(code) for code in (*range(1, 0x20), *range(0x7F, 0xA0))]


def test_a_name_with_a_control_character_is_skipped_with_its_reason(tmp_path):
    for number, character in enumerate(CONTROLS):
        touch(tmp_path / f"{number:02}{character}x.jpg")
    touch(tmp_path / "new\nfolder" / "a.jpg")
    found, skipped = walked(tmp_path)
    assert (found, len(skipped)) == ([], len(CONTROLS) + 1)
    assert skipped["new\nfolder/a.jpg"] == "its name has the control character '\\n': rename it"


def test_a_path_longer_than_an_id_may_be_is_skipped(tmp_path):
    touch(tmp_path / ("a" * 200) / ("b" * 200) / ("c" * 200 + ".jpg"))
    found, skipped = walked(tmp_path)
    assert not found
    assert "606 bytes" in next(iter(skipped.values()))


def test_links_inside_the_folder_are_photos_and_links_outside_are_skipped(tmp_path):
    outside = touch(tmp_path / "outside.jpg")
    photos = tmp_path / "photos"
    inside = touch(photos / "inside.jpg")
    (photos / "to-inside.jpg").symlink_to(inside)
    (photos / "to-outside.jpg").symlink_to(outside)
    (photos / "broken.jpg").symlink_to(photos / "gone.jpg")
    (photos / "loop").symlink_to(photos)
    found, skipped = walked(photos)
    assert found == ["inside.jpg", "to-inside.jpg"]
    assert sorted(skipped) == ["broken.jpg", "to-outside.jpg"]


def test_kinds_of_photos_that_are_not_read_are_named(tmp_path):
    touch(tmp_path / "a.JXL")
    assert walked(tmp_path) == ([], {"a.JXL": "JXL files are not read by this version: save a copy as JPEG"})


def test_a_missing_folder_is_an_error_with_the_setting(tmp_path):
    with pytest.raises(CorpusError, match="IMAGE_DIR"):
        walked(tmp_path / "nowhere")


@pytest.mark.parametrize("image_id", ["../outside.jpg", "/etc/hostname", "a/../../outside.jpg", "", "nul\0.jpg", "a"])
def test_nothing_outside_the_folder_is_resolved(tmp_path, image_id):
    touch(tmp_path / "outside.jpg")
    touch(tmp_path / "photos" / "a" / "b.jpg")
    assert photo_folder.resolve(tmp_path / "photos", image_id) is None


def test_a_photo_has_one_name_only(tmp_path):
    touch(tmp_path / "b.jpg")
    touch(tmp_path / "a" / "c.jpg")
    assert photo_folder.resolve(tmp_path, "b.jpg")
    assert photo_folder.resolve(tmp_path, "a/../b.jpg") is None


def test_a_link_that_leads_outside_is_not_resolved(tmp_path):
    outside = touch(tmp_path / "outside.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "link.jpg").symlink_to(outside)
    assert photo_folder.resolve(tmp_path / "photos", "link.jpg") is None


def test_a_linked_folder_on_the_way_is_followed_only_inside(tmp_path):
    touch(tmp_path / "outside" / "a.jpg")
    touch(tmp_path / "photos" / "inside" / "a.jpg")
    for name, target in (("in", tmp_path / "photos" / "inside"), ("out", tmp_path / "outside")):
        (tmp_path / "photos" / name).symlink_to(target)
    assert photo_folder.resolve(tmp_path / "photos", "in/a.jpg")
    assert photo_folder.resolve(tmp_path / "photos", "out/a.jpg") is None


def test_the_folder_itself_may_be_a_link(tmp_path):
    touch(tmp_path / "photos" / "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    assert photo_folder.resolve(tmp_path / "link", "a.jpg")


def test_document_and_picture_come_from_the_same_bytes(tmp_path):
    path = save(tmp_path / "a" / "red.png", colour="red", size=(30, 20))
    file = next(photo_folder.walk(tmp_path, skip=pytest.fail))
    photo = decode_photo(reading.load(file, tmp_path), max_pixels=1000)
    assert photo.document.content_hash == content_hash(path.read_bytes())
    assert (photo.document.image_id, photo.document.width, photo.document.height) == ("a/red.png", 30, 20)
    assert (photo.document.bytes, photo.document.mtime_ns) == (file.bytes, file.mtime_ns)
    assert photo.image.getpixel((0, 0)) == (255, 0, 0)


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    touch(tmp_path / "bad.jpg")
    file = next(photo_folder.walk(tmp_path, skip=pytest.fail))
    with pytest.raises(ImageUnreadableError, match=r"bad\.jpg .*no known image format"):
        decode_photo(reading.load(file, tmp_path), max_pixels=1000)


SAID = {
    "taken": "2024-05-01T12:30:00+02:00",
    "camera_make": "Maker",
    "camera_model": "Camera",
    "lens": "50mm",
    "location": (48.0, 2.0),
}


def said_by(exif):
    """Return SAID as EXIF."""
    exif.update({271: "Maker", 272: "Camera"})
    exif.get_ifd(0x8769).update({36867: "2024:05:01 12:30:00", 36881: "+02:00", 42036: "50mm"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)})
    return exif


def document_of(folder):
    (file,) = photo_folder.walk(folder, skip=pytest.fail)
    return decode_photo(reading.load(file, folder), max_pixels=1_000_000).document


def fields_of(document, names):
    return {name: getattr(document, name) for name in names}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
def test_metadata_is_read_in_every_format(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", colour="red", exif=said_by(Image.Exif()).tobytes())
    assert fields_of(document_of(tmp_path), SAID) == SAID


def test_metadata_of_a_raw_file_is_read(tmp_path):
    details = [(36867, "s", b"2024:05:01 12:30:00"), (36881, "s", b"+02:00"), (42036, "s", b"50mm")]
    words = [(700, "B", xmp(captions={"x-default": "The sea"}, keywords=["a"]))]
    (tmp_path / "a.dng").write_bytes(dng(Image.new("RGB", (64, 48)), entries=words, details=details))
    document = document_of(tmp_path)
    expected = {**SAID, "location": None, "caption": "The sea", "keywords": ("a",)}
    assert fields_of(document, expected) == expected


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif", ".heic"])
def test_caption_and_keywords_are_read_from_xmp_in_every_format(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", colour="red", xmp=xmp(captions={"x-default": "The sea"}, keywords=["a", "b"]))
    assert fields_of(document_of(tmp_path), ["caption", "keywords"]) == {"caption": "The sea", "keywords": ("a", "b")}


def test_caption_and_keywords_are_read_from_the_iptc_of_a_jpeg(tmp_path):
    path = save(tmp_path / "a.jpg", colour="red")
    path.write_bytes(jpeg_with_iptc(path.read_bytes(), iptc(caption=b"The sea", keywords=[b"a"])))
    assert fields_of(document_of(tmp_path), ["caption", "keywords"]) == {"caption": "The sea", "keywords": ("a",)}


def test_caption_and_keywords_are_read_from_a_tiff(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype.update({700: 7, 33723: 7})  # bytes
    tags[33723] = iptc(caption=b"The sea", keywords=[b"a"])
    tags[700] = xmp(keywords=["b"])
    save(tmp_path / "a.tif", colour="red", tiffinfo=tags)
    assert fields_of(document_of(tmp_path), ["caption", "keywords"]) == {"caption": "The sea", "keywords": ("b", "a")}


def test_a_photo_without_metadata_is_accepted(tmp_path):
    save(tmp_path / "a.png", colour="red")
    assert fields_of(document_of(tmp_path), [*SAID, "caption", "keywords"]) == dict.fromkeys([*SAID, "caption"]) | {
        "keywords": ()
    }


def test_a_folder_on_an_unreachable_network_drive_is_an_error(tmp_path, monkeypatch):
    def away(*args, **kwargs):
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.setattr(os, "stat", away)
    with pytest.raises(CorpusError, match="There is no folder"):
        folders.check_folder(tmp_path)
