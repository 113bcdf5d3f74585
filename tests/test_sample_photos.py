import csv
import re
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from image_embeddings.near_duplicates.folding import fold_near_duplicates
from image_embeddings.photos.decoding import decode
from tests.near_duplicates.hits import folded, hit
from tools import sample_photos
from tools.sample_photos import IMAGES, MAX_SIDE, SCENE_SIDE, Kind, Row, SourceMissingError, make_all, read_table

PHOTOS = sorted(path.relative_to(IMAGES).as_posix() for path in IMAGES.rglob("*.jpg"))
KINDS = {row.target: row.kind for row in read_table()}
SIDES = {Kind.CUT_OUT: (280, MAX_SIDE), Kind.SCENE: (450, SCENE_SIDE)}  # pixels of the longer side: least, most
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


def is_plain(photo: str) -> bool:
    with Image.open(IMAGES / photo) as image:
        image.load()
        info = {key for key in image.info if not key.startswith(("jfif", "progressive", "progression"))}
        return (image.format, image.mode) == ("JPEG", "RGB") and not image.getexif() and not info


def longest_side(photo: str) -> int:
    with Image.open(IMAGES / photo) as image:
        return max(image.size)


def test_there_are_about_150_cut_outs_and_50_scenes_in_few_megabytes():
    kinds = list(KINDS.values())
    assert 140 <= kinds.count(Kind.CUT_OUT) <= 160
    assert 50 <= kinds.count(Kind.SCENE) <= 65
    sizes = {photo: (IMAGES / photo).stat().st_size for photo in PHOTOS}
    assert sum(sizes.values()) <= 12_000_000
    assert {photo: size for photo, size in sizes.items() if size > 550_000} == {}


def test_every_photo_is_a_plain_rgb_jpeg():
    assert [photo for photo in PHOTOS if not is_plain(photo)] == []


def test_every_photo_is_of_a_size_of_its_kind():
    sides = {photo: longest_side(photo) for photo in PHOTOS}
    limits = {photo: SIDES[KINDS[photo]] for photo in PHOTOS}
    assert {photo: side for photo, side in sides.items() if not limits[photo][0] <= side <= limits[photo][1]} == {}
    assert sum(side == SCENE_SIDE for side in sides.values()) >= 35


def test_names_are_plain():
    assert [photo for photo in PHOTOS if not re.fullmatch(r"[a-z]+(-[a-z]+)*/[a-z]+(-[a-z]+)*\.jpg", photo)] == []


def test_no_photo_is_hidden_under_another():
    """A search folds photos that look the same. It folds none of these, even if their embeddings are the same."""
    hits = [
        hit(photo, decode((IMAGES / photo).read_bytes(), max_pixels=10_000_000, what=photo).image) for photo in PHOTOS
    ]
    assert folded(fold_near_duplicates(hits)) == {}


def test_the_table_lists_exactly_the_photos():
    assert [row.target for row in read_table()] == PHOTOS


def credited_file(row: Row) -> str:
    return f"{row.source_path}, byte {row.offset}" if row.offset else row.source_path


def test_the_credits_list_exactly_the_photos_with_source_author_and_licence():
    lines = (IMAGES / "CREDITS.md").read_text(encoding="utf-8").splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \S+\.jpg \|", line)
    ]
    assert [row[:3] for row in rows] == [[row.target, row.source, credited_file(row)] for row in read_table()]
    assert all(len(row) == 5 and all(row) for row in rows)


def test_the_credits_name_every_package_and_their_licence_texts_are_there():
    text = (IMAGES / "CREDITS.md").read_text(encoding="utf-8")
    assert [source for source in {row.source for row in read_table()} if f"**{source}**" not in text] == []
    texts = set(re.findall(r"\]\(([^)/]+\.txt)\)", text))
    assert texts == {path.name for path in IMAGES.glob("*.txt")} != set()


def test_every_photo_has_one_english_caption():
    assert [row["image_id"] for row in captions() if row["language"] == "en"] == PHOTOS


def test_captions_are_one_a_language_and_point_to_photos():
    keys = [(row["image_id"], row["language"]) for row in captions()]
    assert len(set(keys)) == len(keys)
    assert {image_id for image_id, _ in keys} == set(PHOTOS)
    assert {language for _, language in keys} == LANGUAGES


def test_captions_are_clean_text():
    texts = [row["caption"] for row in captions()]
    assert [text for text in texts if text != text.strip() or not text] == []
    assert [text for text in texts if re.search("[\x00-\x1f\ufffd]|  ", text)] == []


def test_scenes_have_captions_in_every_language_that_no_other_photo_has():
    rows = captions()
    made_here = {row.target for row in read_table() if row.kind is Kind.SCENE and not row.source.startswith("scikit")}
    keys = {(row["image_id"], row["language"]) for row in rows}
    assert {(photo, language) for photo in made_here for language in LANGUAGES} - keys == set()
    bearers: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        bearers.setdefault((row["language"], row["caption"].casefold()), []).append(row["image_id"])
    assert [bearing for bearing in bearers.values() if len(bearing) > 1 and made_here & set(bearing)] == []


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
    [((1280, 640), 0.5), ((400, 300), 1.0), ((160, 80), 2.0), ((50, 40), 3.0)],
)
def test_cut_outs_end_within_the_limits(size: tuple[int, int], expected: float):
    assert sample_photos.enlargement(size) == expected


def test_an_enlarged_outline_has_no_steps():
    """The slope falls by a whole pixel every two. Enlarged three times, no point is off its straight line."""
    slope = Image.new("RGBA", (80, 60), (0, 0, 0, 0))
    for column in range(80):
        slope.paste((200, 30, 30, 255), (column, 10 + column // 2, column + 1, 60))
    larger = sample_photos.enlarged(slope, 3.0).getchannel("A")
    columns = range(60, 180)
    tops = [next(row for row in range(larger.height) if larger.getpixel((column, row)) >= 128) for column in columns]
    off = [2 * top - column for top, column in zip(tops, columns, strict=True)]
    assert max(off) - min(off) <= 1


def test_hidden_colours_do_not_shine_through_an_enlarged_outline():
    image = Image.new("RGBA", (60, 60), (0, 255, 0, 0))
    image.paste((200, 30, 30, 255), (10, 10, 50, 50))
    larger = sample_photos.enlarged(image, 3.0)
    seen = [colour for _, colour in larger.getcolors(larger.width * larger.height) or [] if colour[3] > 0]
    assert max(abs(red - 200) + abs(green - 30) for red, green, _, _ in seen) <= 6


@pytest.mark.parametrize(
    ("size", "expected"), [((3200, 1600), (1600, 800)), ((1000, 2000), (800, 1600)), ((90, 40), (90, 40))]
)
def test_a_scene_is_shown_whole_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int], tmp_path: Path):
    source = save_png(tmp_path / "scene.png", Image.new("RGB", size, (30, 90, 200)))
    sample_photos.make_photo(source, tmp_path / "photo.jpg", kind=Kind.SCENE)
    with Image.open(tmp_path / "photo.jpg") as photo:
        assert photo.size == expected
        assert photo.getpixel((0, 0)) == pytest.approx((30, 90, 200), abs=4)


def test_the_colours_of_a_scene_are_converted_to_srgb(tmp_path: Path):
    """In this profile the first channel is green, and the second is red."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = srgb.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    Image.new("RGB", (40, 30), (200, 30, 90)).save(tmp_path / "scene.png", icc_profile=profile)
    sample_photos.make_photo(tmp_path / "scene.png", tmp_path / "photo.jpg", kind=Kind.SCENE)
    with Image.open(tmp_path / "photo.jpg") as photo:
        assert photo.getpixel((20, 15)) == pytest.approx((30, 200, 90), abs=5)
        assert "icc_profile" not in photo.info


def test_an_image_inside_a_larger_file_is_read_from_its_first_byte(tmp_path: Path):
    inner = save_png(tmp_path / "inner.png", Image.new("RGB", (40, 30), (30, 90, 200)))
    (tmp_path / "theme.edj").write_bytes(b"others' images" + inner.read_bytes() + b"more of them")
    sample_photos.make_photo(tmp_path / "theme.edj", tmp_path / "photo.jpg", kind=Kind.SCENE, offset=14)
    with Image.open(tmp_path / "photo.jpg") as photo:
        assert photo.size == (40, 30)


def test_a_long_and_thin_image_is_padded():
    assert sample_photos.canvas_size((20, 300)) == (216, 324)


@pytest.mark.parametrize("package", sample_photos.DEBIAN_FOLDERS)
def test_a_missing_debian_package_is_named_with_both_remedies(package: str, tmp_path: Path):
    with pytest.raises(SourceMissingError, match=f"apt-get install {package};.*apt-get download {package},.*--root"):
        sample_photos.source_folder(package, tmp_path)


def test_a_missing_source_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert sample_photos.main(["--root", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert "Install Debian's package: apt-get install" in capsys.readouterr().err


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sample_photos.MODULES, "scikit-image", "no_such_module_here")
    with pytest.raises(SourceMissingError, match="pip install scikit-image"):
        sample_photos.source_folder("scikit-image")


def test_a_source_without_the_file_is_named_and_nothing_is_written(tmp_path: Path):
    package = "tuxpaint-stamps-default"
    save_png(tmp_path / sample_photos.DEBIAN_FOLDERS[package] / "here.png", stamp((9, 9), (2, 2, 7, 7)))
    rows = [Row(package, name, 0, Kind.CUT_OUT, f"x/{name}.jpg") for name in ("here.png", "gone.png")]
    with pytest.raises(SourceMissingError, match=r"no gone\.png"):
        make_all(rows, tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
