"""Rows of other programs' tables find their photos, or it is said why not."""

import pytest

from image_embeddings.embedding_files.path_matching import match_paths
from image_embeddings.errors import EmbeddingFilesError

PHOTOS = {"2020/a.jpg", "2020/b.jpg", "2021/a.jpg"}


def match(paths, photos=PHOTOS, address="/photos"):
    return match_paths(paths, photos, address=address, table="/rows")


@pytest.mark.parametrize(
    "folder",
    ["", "./", "images/", "/elsewhere/old/", "/photos/", "s3://bucket/photos/", "/elsewhere/été & co/"],
)
def test_rows_lose_the_folder_that_they_share(folder):
    found = match([f"{folder}2021/a.jpg", f"{folder}2020/a.jpg", f"{folder}2020/none.jpg"])
    assert found == {"2021/a.jpg": [0], "2020/a.jpg": [1]}


def test_paths_of_windows_are_read(tmp_path):
    assert match([r"C:\pictures\2020\a.jpg", r"C:\pictures\2021\a.jpg"]) == {"2020/a.jpg": [0], "2021/a.jpg": [1]}


def test_rows_of_one_folder_only_keep_its_name():
    assert match(["/old/2020/a.jpg", "/old/2020/b.jpg"]) == {"2020/a.jpg": [0], "2020/b.jpg": [1]}


def test_the_present_folder_of_the_photos_goes_first():
    """Below the folder `2020` the rows are of these photos, though more of other names are found above it."""
    paths = ["/all/2020/a.jpg", "/all/2021/a.jpg"]
    assert match(paths, {"a.jpg", "2020/a.jpg", "2021/a.jpg"}, address="/all/2020") == {"a.jpg": [0]}


def test_all_rows_of_a_photo_are_found():
    assert match(["x/2020/a.jpg", "x/2020/b.jpg", "x/2020/a.jpg"])["2020/a.jpg"] == [0, 2]


def test_two_folders_that_fit_equally_well_are_an_error():
    with pytest.raises(EmbeddingFilesError, match="It is not clear which photos the rows of /rows mean"):
        match(["x/a.jpg", "x/b.jpg"], {"a.jpg", "b.jpg", "x/a.jpg", "x/b.jpg"})


@pytest.mark.parametrize("paths", [["000012", "000013"], [], ["/old/c.jpg"]])
def test_rows_of_no_photo_are_an_error_that_shows_one(paths):
    with pytest.raises(
        EmbeddingFilesError, match=r"No row of /rows is of a photo in /photos.*photos such as '2020/a\.jpg'"
    ):
        match(paths)
