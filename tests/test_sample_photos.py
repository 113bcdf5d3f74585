import csv
import re
from pathlib import Path

import pytest
from PIL import Image

from tools import sample_photos
from tools.sample_photos import IMAGES, MAX_SIDE, Row, SourceMissingError, make_all, read_table

PHOTOS = sorted(path.relative_to(IMAGES).as_posix() for path in IMAGES.rglob("*.jpg"))
LANGUAGES = {"en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "tr", "ja", "zh", "ko", "ar"}


def captions() -> list[dict[str, str]]:
    with (IMAGES / "captions.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def save_png(path: Path, image: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def stamp(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    image.paste((200, 30, 30, 255), box)
    return image


def test_there_are_about_150_small_photos():
    assert 140 <= len(PHOTOS) <= 170
    assert sum((IMAGES / photo).stat().st_size for photo in PHOTOS) <= 6_000_000


@pytest.mark.parametrize("photo", PHOTOS)
def test_every_photo_is_a_plain_rgb_jpeg_of_modest_size(photo: str):
    with Image.open(IMAGES / photo) as image:
        image.load()
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert 200 <= max(image.size) <= MAX_SIDE
        assert not image.getexif()


@pytest.mark.parametrize("photo", PHOTOS)
def test_names_are_plain(photo: str):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*/[a-z]+(-[a-z]+)*\.jpg", photo)


def test_the_table_lists_exactly_the_photos():
    assert [row.target for row in read_table()] == PHOTOS


def test_the_credits_list_exactly_the_photos_with_source_author_and_licence():
    lines = (IMAGES / "CREDITS.md").read_text(encoding="utf-8").splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \S+\.jpg \|", line)
    ]
    assert [row[:3] for row in rows] == [[row.target, row.source, row.source_path] for row in read_table()]
    assert all(len(row) == 5 and all(row) for row in rows)


def test_every_photo_has_one_english_caption():
    assert [row["image_id"] for row in captions() if row["language"] == "en"] == PHOTOS


def test_captions_are_one_a_language_and_point_to_photos():
    keys = [(row["image_id"], row["language"]) for row in captions()]
    assert len(set(keys)) == len(keys)
    assert {image_id for image_id, _ in keys} == set(PHOTOS)
    assert {language for _, language in keys} == LANGUAGES


def test_captions_are_clean_text():
    for row in captions():
        assert row["caption"] == row["caption"].strip() != ""
        assert not re.search("[\x00-\x1f\ufffd]|  ", row["caption"]), row


def test_a_stamp_is_cut_to_its_content_and_centred_on_white(tmp_path: Path):
    source = save_png(tmp_path / "stamp.png", stamp((400, 400), (100, 50, 300, 250)))
    sample_photos.make_photo(source, tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as photo:
        assert photo.size == (320, 320)
        assert photo.getpixel((0, 0)) == pytest.approx((255, 255, 255), abs=4)
        assert photo.getpixel((160, 160)) == pytest.approx((200, 30, 30), abs=4)


def test_the_same_source_makes_the_same_bytes(tmp_path: Path):
    source = save_png(tmp_path / "stamp.png", stamp((90, 40), (5, 5, 80, 30)))
    targets = [tmp_path / "one.jpg", tmp_path / "two.jpg"]
    for target in targets:
        sample_photos.make_photo(source, target)
    assert targets[0].read_bytes() == targets[1].read_bytes()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 640), (640, 320)), ((400, 300), (400, 300)), ((160, 80), (320, 160)), ((50, 40), (200, 160))],
)
def test_sizes_end_within_the_limits(size: tuple[int, int], expected: tuple[int, int]):
    assert sample_photos.resized(Image.new("RGB", size)).size == expected


def test_what_is_long_and_thin_is_padded():
    assert sample_photos.canvas_size((20, 300)) == (216, 324)


def test_a_missing_debian_package_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert sample_photos.main(["--stamps", str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
    assert "apt-get install tuxpaint-stamps-default" in capsys.readouterr().err


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sample_photos.MODULES, "scikit-image", "no_such_module_here")
    with pytest.raises(SourceMissingError, match="pip install scikit-image"):
        sample_photos.source_folder("scikit-image")


def test_a_source_without_the_file_is_named_and_nothing_is_written(tmp_path: Path):
    save_png(tmp_path / "stamps" / "here.png", stamp((9, 9), (2, 2, 7, 7)))
    rows = [Row(sample_photos.STAMPS_PACKAGE, name, f"x/{name}.jpg") for name in ("here.png", "gone.png")]
    with pytest.raises(SourceMissingError, match=r"no gone\.png"):
        make_all(rows, tmp_path / "out", tmp_path / "stamps")
    assert not (tmp_path / "out").exists()
