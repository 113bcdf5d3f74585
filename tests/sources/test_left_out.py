"""What a walk through a folder of photos leaves out."""

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import CorpusError, SettingError
from image_embeddings.sources import left_out
from tests.sources.test_photo_folder import passed_over, touch, walked

EXAMPLES = {"FOUND.[0-9][0-9][0-9]": "FOUND.001", "*.lrdata": "Catalog Previews.lrdata"}


@pytest.mark.parametrize("pattern", left_out.LEFT_OUT_FOLDERS)
def test_folders_that_systems_make_are_left_out_in_any_case_and_depth(tmp_path, pattern):
    name = EXAMPLES.get(pattern, pattern)
    for folder in (name, f"trip/{name.upper()}", f"trip/x/{name.lower()}/deeper"):
        touch(tmp_path / folder / "thumb.jpg")
    touch(tmp_path / "trip" / f"{name}.jpg")  # only folders are meant
    touch(tmp_path / f"my {name} photos" / "a.jpg")
    found, passed = passed_over(tmp_path)
    assert sorted(found) == sorted([f"my {name} photos/a.jpg", f"trip/{name}.jpg"])
    assert passed.left_out == {pattern: 3}


def test_each_folder_that_is_left_out_has_its_reason():
    assert all(len(reason) > 10 for reason in left_out.LEFT_OUT_FOLDERS.values())


@pytest.mark.parametrize("name", ["My.photoslibrary", "Old.PhotoLibrary", "A.aplibrary", "B.migratedphotolibrary"])
def test_of_a_photo_programs_library_only_the_originals_are_photos(tmp_path, name):
    for place in ("originals/0/a.jpg", "Masters/2011/b.jpg", "resources/derivatives/a.jpg", "Thumbnails/b.jpg"):
        touch(tmp_path / name / place)
    assert sorted(passed_over(tmp_path)[0]) == [f"{name}/Masters/2011/b.jpg", f"{name}/originals/0/a.jpg"]
    assert sorted(passed_over(tmp_path / name)[0]) == ["Masters/2011/b.jpg", "originals/0/a.jpg"]


def test_a_folder_with_nomedia_is_left_out_with_those_below_it_but_not_the_folder_that_is_named(tmp_path):
    for name in ("cache/.nomedia", "cache/a.jpg", "cache/deep/b.jpg", ".nomedia", "c.jpg"):
        touch(tmp_path / name)
    found, passed = passed_over(tmp_path)
    assert (found, passed.left_out) == (["c.jpg"], {".nomedia": 1})


LIBRARY = ("a.jpg", "raw/b.jpg", "2024/raw/c.jpg", "2024/d.png", "2024/keep.png", "#x/e.jpg", "Private/f/g.jpg")


@pytest.mark.parametrize(
    ("globs", "gone"),
    [
        ([], ""),
        (["raw"], "raw/b.jpg 2024/raw/c.jpg"),
        (["/raw"], "raw/b.jpg"),
        (["2024/*"], "2024/raw/c.jpg 2024/d.png 2024/keep.png"),
        (["**/raw/**", "Private/"], "raw/b.jpg 2024/raw/c.jpg Private/f/g.jpg"),
        (["*.png", "!keep.png"], "2024/d.png"),
        (["#x"], "#x/e.jpg"),
        (["private", "nothing/*"], ""),
    ],
)
def test_exclude_leaves_out_by_the_path_below_the_folder(tmp_path, globs, gone):
    for name in LIBRARY:
        touch(tmp_path / name)
    found, passed = passed_over(tmp_path, exclude=globs)
    assert set(LIBRARY) - set(found) == set(gone.split())
    assert bool(passed.left_out["EXCLUDE"]) == bool(gone)


def test_ignore_files_hold_for_their_folder_and_the_innermost_one_decides(tmp_path):
    for name in LIBRARY:
        touch(tmp_path / name)
    (tmp_path / ".ignore").write_text("\ufeff# a comment\n*.png\n\n/raw/\n!\n", encoding="utf-8")
    (tmp_path / "2024" / ".ignore").write_text("!keep.png\n/raw\n")
    found, passed = passed_over(tmp_path)
    assert set(LIBRARY) - set(found) == {"raw/b.jpg", "2024/raw/c.jpg", "2024/d.png"}
    assert passed.left_out == {".ignore": 3}
    assert "2024/keep.png" not in passed_over(tmp_path, exclude=["*.png"])[0]


def test_an_ignore_file_that_cannot_be_read_keeps_its_folder_from_being_looked_at(tmp_path):
    for name in LIBRARY:
        touch(tmp_path / name)
    (tmp_path / "2024" / ".ignore").symlink_to(tmp_path / "2024" / ".ignore")
    found, skipped = walked(tmp_path)
    assert not [name for name in found if name.startswith("2024")]
    assert skipped["2024"].startswith("its file .ignore cannot be opened (")
    (tmp_path / ".ignore").symlink_to(tmp_path / ".ignore")
    with pytest.raises(CorpusError, match=r"\.ignore cannot be opened"):
        walked(tmp_path)


def test_the_name_of_a_path_and_of_each_folder_above_decides_whether_it_exists_or_not(tmp_path):
    (tmp_path / ".ignore").write_text("raw/\n")
    touch(tmp_path / "cache" / ".nomedia")
    rules = left_out.Rules.at_root(tmp_path, exclude=["*.png"])
    gone = ["@eaDir/x/a.jpg", "raw/a.jpg", "x/raw/a.jpg", "a.png", "cache/a.jpg", "cache/x/a.jpg", "x/lost+found"]
    for path in [*gone, "a.jpg", "rawer/a.jpg", "cache"]:
        is_folder = "." not in path
        found = left_out.is_path_left_out(str(tmp_path / path), rules, root=tmp_path, is_folder=is_folder)
        assert found == (path in gone), path


@pytest.mark.parametrize("glob", ["!", "a,!", "\\"])
def test_a_glob_that_cannot_be_used_is_refused_with_its_setting(glob):
    with pytest.raises(SettingError, match=r"^EXCLUDE has value"):
        load_settings({"EXCLUDE": glob})


def test_exclude_is_a_list_and_empty_by_default():
    assert load_settings({}).exclude == ()
    assert load_settings({"EXCLUDE": " Private/, *.png ,,#recycle"}).exclude == ("Private/", "*.png", "#recycle")
