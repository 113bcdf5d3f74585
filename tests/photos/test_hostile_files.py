"""Bad files that a folder of photos may hold: each is skipped by name, with the reason and the remedy."""

import os
import socket
import struct
import tempfile
import zlib
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path

import pytest
from PIL import Image

from image_embeddings.errors import CorpusError, ImageError, ImageTooLargeError
from image_embeddings.photos.photo import Photo, decode_photo
from image_embeddings.sources import photo_folder, reading
from image_embeddings.sources.skipped import NO_FILE, Skipped, skip_for
from tests.pictures import as_nobody, save

PICTURE = Image.effect_noise((90, 60), 50).convert("RGB")


def try_read(file, folder, *, max_pixels):
    """Return the photo in a file, or the reason in the report."""
    try:
        return decode_photo(reading.load(file, folder), max_pixels=max_pixels)
    except (CorpusError, ImageError) as error:
        return skip_for(error, image_id=file.image_id)


def encoded(format="JPEG", **options):  # noqa: A002
    buffer = BytesIO()
    PICTURE.save(buffer, format, **options)
    return buffer.getvalue()


def outcomes(folder):
    """Return image_id -> the photo, or the reason why it was skipped, for every file of the folder."""
    skipped = []
    files = list(photo_folder.walk(folder, skip=skipped.append))
    read = [try_read(file, folder, max_pixels=1_000_000) for file in files]
    skipped += [result for result in read if isinstance(result, Skipped)]
    photos = [result for result in read if isinstance(result, Photo)]
    return {skip.image_id: skip.reason for skip in skipped} | {photo.document.image_id: photo for photo in photos}


def outcome(folder, name, data):
    (folder / name).write_bytes(data)
    return outcomes(folder)[name]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width, height):
    """Return a PNG of a few bytes that claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )


# Their content


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("zero.jpg", b"", "is empty: copy it again"),
        ("text.jpg", b"Dear diary,\n" * 99, "no known image format"),
        ("page.png", b"<!doctype html><title>404</title>", "no known image format"),
        ("cut.jpg", encoded()[:640], "damaged"),
        ("cut.png", encoded("PNG")[:200], "damaged"),
        ("cut.webp", encoded("WEBP")[:30], "damaged"),
        ("cut.tif", encoded("TIFF")[:200], "damaged"),
        ("program.heic", b"\x7fELF" + bytes(999), "no known image format"),
        ("empty.nef", b"II*\0" + bytes(99), "it is a TIFF, and its header cannot be read"),
        ("bomb.png", png_of(60_000, 60_000), "MAX_IMAGE_PIXELS"),
        (
            "bomb.bmp",
            b"BM" + bytes(12) + struct.pack("<IiiHHIIiiII", 40, 99_999, 99_999, 1, 24, *(0,) * 6),
            "MAX_IMAGE",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_content_that_is_no_photo_is_reported_with_file_reason_and_remedy(tmp_path, name, data, why):
    reason = outcome(tmp_path, name, data)
    assert name not in reason  # the name stands before the reason
    assert why in reason
    assert "save it as JPEG" in reason or "raise MAX_IMAGE_PIXELS" in reason or "copy it again" in reason


@pytest.mark.parametrize("name", ["really-jpeg.png", "really-jpeg.heic", "really-jpeg.nef", "really-jpeg.tif"])
def test_a_photo_with_the_suffix_of_another_format_is_a_photo(tmp_path, name):
    assert outcome(tmp_path, name, encoded()).document.width == 90


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0" + b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\xff" * 60_000,  # as large as JPEG allows, and nonsense
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\xff\xff\xff\xff\0\x06\0\0",  # four thousand million orientations
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",  # directories in a circle
        b"Exif\0\0",
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as images.py does outside of tests
def test_huge_and_broken_exif_does_not_prevent_reading_the_photo(tmp_path, exif):
    assert outcome(tmp_path, "odd.jpg", encoded(exif=exif)).document.width == 90


def test_exif_of_megabytes_does_not_prevent_reading_the_photo(tmp_path):
    whole = encoded("PNG")
    huge = chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0" + bytes(8_000_000))
    assert outcome(tmp_path, "huge.png", whole[:33] + huge + whole[33:]).document.width == 90


# Their kind


def test_pipes_sockets_and_devices_are_neither_opened_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as bound, tempfile.TemporaryDirectory(dir="/tmp") as short:
        bound.bind(f"{short}/socket.jpg")
        found = outcomes(tmp_path) | outcomes(Path(short))
    assert found == dict.fromkeys(["pipe.jpg", "device.jpg", "socket.jpg"], NO_FILE)


def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path):
    path = save(tmp_path / "a.png", colour="red")
    file = next(photo_folder.walk(tmp_path, skip=pytest.fail))
    path.unlink()
    os.mkfifo(path)
    skipped = try_read(file, tmp_path, max_pixels=1000)
    assert (skipped.reason, skipped.unusable) == (f"is {NO_FILE}.", False)


def test_links_in_a_circle_are_skipped_and_a_folder_that_holds_itself_is_walked_once(tmp_path):
    save(tmp_path / "a.png", colour="red")
    (tmp_path / "b.jpg").symlink_to("c.jpg")
    (tmp_path / "c.jpg").symlink_to("b.jpg")
    (tmp_path / "again").symlink_to(tmp_path)
    found = outcomes(tmp_path)
    assert sorted(found) == ["a.png", "b.jpg", "c.jpg"]
    assert "remove it" in found["b.jpg"]


def test_a_broken_link_is_reported(tmp_path):
    (tmp_path / "a.jpg").symlink_to("gone.jpg")
    assert "a link to nothing" in outcomes(tmp_path)["a.jpg"]


def test_unreadable_files_are_skipped_and_the_others_are_not():
    with tempfile.TemporaryDirectory() as place, as_nobody(place):
        for name in ("a.png", "b.png", "closed/c.png"):
            save(Path(place) / name, colour="red")
        (Path(place) / "b.png").chmod(0)
        (Path(place) / "closed").chmod(0)
        found = outcomes(Path(place))
        (Path(place) / "closed").chmod(0o700)
    assert isinstance(found.pop("a.png"), Photo)
    assert sorted(found) == ["b.png", "closed"]
    assert all("let this user read it" in reason for reason in found.values())


# Their names


@pytest.mark.parametrize(
    "name",
    ["\"quo'tes`.png", "%2e%2e.png", "写真.png", "צילום.png", "🐈.png"],
)
def test_any_name_is_an_image_id_unchanged(tmp_path, name):
    save(tmp_path / name, colour="red")
    assert outcomes(tmp_path)[name].document.image_id == name


# Changes while they are read


class Touched(FileIO):
    """A file that another program writes to while it is read."""

    def readall(self):
        data = super().readall()
        self.change()
        return data

    def readinto(self, buffer):
        count = super().readinto(buffer)
        self.change()
        return count

    def change(self):
        with Path(self.name).open("ab") as other:
            other.write(b"more")


def test_a_file_that_grows_while_it_is_read_is_left_for_the_next_run(tmp_path):
    path = save(tmp_path / "a.png", colour="red")
    with BufferedReader(Touched(path)) as handle, pytest.raises(CorpusError, match=r"a\.png changed .* index again"):
        reading.contents(handle, what="a.png")


def test_a_file_that_is_cut_between_walk_and_read_is_read_as_it_is(tmp_path):
    path = save(tmp_path / "a.png", colour="red", size=(900, 900))
    file = next(photo_folder.walk(tmp_path, skip=pytest.fail))
    path.write_bytes(path.read_bytes()[:100])
    assert "is not an image that can be read" in try_read(file, tmp_path, max_pixels=1_000_000).reason


def test_a_file_with_more_bytes_than_any_photo_is_not_read(tmp_path):
    with (tmp_path / "film.jpg").open("wb") as file:
        file.truncate(reading.MAX_FILE_BYTES + 1)  # sparse: this takes no room on the disk
    with pytest.raises(ImageTooLargeError, match="Make it smaller"):
        reading.read_bytes(tmp_path / "film.jpg", what="film.jpg")
