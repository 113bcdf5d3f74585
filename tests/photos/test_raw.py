import struct
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from image_embeddings.errors import ImageTooLargeError, ImageUnreadableError
from image_embeddings.photos import raw
from image_embeddings.photos.decoding import decode
from tests.raw_photos import dng

CR2 = b"II*\0\x10\0\0\0CR\x02\0"
SENSOR = Image.new("RGB", (640, 480), "white")


def marked(size, colour="red"):
    """Return a white image with a corner of another colour at the top left."""
    image = Image.new("RGB", size, "white")
    image.paste(colour, (0, 0, size[0] // 2, size[1] // 2))
    return image


def jpeg(image):
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def decoded(data, *, max_pixels=10_000_000):
    return decode(data, max_pixels=max_pixels, what="photo.dng")


def reddest_corner(image):
    """Return where the red corner of an image is: the half across and the half down."""
    across, down = image.width // 4, image.height // 4
    places = [(x, y) for x in (across, 3 * across) for y in (down, 3 * down)]
    x, y = min(places, key=lambda place: image.getpixel(place)[1])
    return ("left" if x == across else "right", "top" if y == down else "bottom")


def test_the_preview_is_the_photo_and_the_sensor_gives_the_size():
    photo = decoded(dng(SENSOR, preview=jpeg(marked((320, 240), "blue"))))
    assert (photo.width, photo.height, photo.image.size) == (640, 480, (320, 240))
    assert photo.image.getpixel((9, 9))[2] > 240 > 20 > photo.image.getpixel((9, 9))[0]


@pytest.mark.parametrize(
    ("origin", "crop", "orientation", "size"),
    [
        ((8, 6), (620, 460), 1, (620, 460)),
        ((8, 6), (620, 460), 6, (460, 620)),
        ((8, 60), (620, 350), 1, (620, 350)),
        ((0, 0), (64, 48), 1, (640, 480)),  # nonsense
    ],
)
def test_the_size_is_that_of_the_part_of_the_sensor_that_the_camera_shows(origin, crop, orientation, size):
    default_crop = [(50719, "I", origin), (50720, "I", crop)]
    photo = decoded(dng(SENSOR, preview=jpeg(SENSOR), sensor=default_crop, orientation=orientation))
    assert (photo.width, photo.height) == pytest.approx(size, abs=1)  # LibRaw rounds it


def test_panasonic_has_exif_of_its_own():
    exif = Image.Exif()
    exif.endian = "<"
    exif[271] = "Panasonic"
    exif.get_ifd(34665)[36867] = "2019:08:14 17:05:06"
    found = raw.container_exif(raw.RW2 + exif.tobytes()[10:])
    assert (found[271], found.get_ifd(34665)[36867]) == ("Panasonic", "2019:08:14 17:05:06")


def test_a_preview_of_bare_pixels_is_the_photo_too():
    photo = decoded(dng(SENSOR, preview=np.asarray(marked((320, 240)))))
    assert photo.image.size == (320, 240)
    assert reddest_corner(photo.image) == ("left", "top")


def test_without_a_preview_the_sensor_is_developed_at_half_size():
    photo = decoded(dng(marked((640, 480))))
    assert (photo.width, photo.height, photo.image.size) == (640, 480, (320, 240))
    assert reddest_corner(photo.image) == ("left", "top")


def test_a_preview_too_small_for_models_is_passed_over():
    photo = decoded(dng(SENSOR, preview=jpeg(marked((160, 120)))))
    assert photo.image.size == (320, 240)


def test_a_damaged_preview_is_passed_over():
    preview = jpeg(SENSOR)
    whole = dng(marked((640, 480)), preview=preview)
    photo = decoded(whole.replace(preview, b"\xff\xd8\xff" + bytes(len(preview) - 3)))
    assert photo.image.size == (320, 240)


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, ("left", "top")), (3, ("right", "bottom")), (6, ("right", "top")), (8, ("left", "bottom"))],
)
@pytest.mark.parametrize("preview", ["jpeg", "pixels", "none"])
def test_a_photo_of_a_turned_camera_is_upright(orientation, corner, preview):
    stored = marked((640, 480))
    kinds = {"jpeg": jpeg(stored), "pixels": np.asarray(stored), "none": None}
    photo = decoded(dng(stored, preview=kinds[preview], orientation=orientation))
    upright = (480, 640) if orientation in (6, 8) else (640, 480)
    assert (photo.width, photo.height) == upright
    assert (photo.image.width > photo.image.height) == (upright[0] > upright[1])
    assert reddest_corner(photo.image) == corner


def test_its_own_exif_goes_before_that_of_the_preview():
    assert decoded(dng(SENSOR, preview=jpeg(SENSOR))).exif[272] == "Camera"


@pytest.mark.parametrize("preview", [None, jpeg(SENSOR)])
def test_too_many_pixels_are_refused_before_they_are_developed(preview):
    with pytest.raises(ImageTooLargeError, match=r"photo\.dng has 640 × 480 .*MAX_IMAGE_PIXELS"):
        decoded(dng(SENSOR, preview=preview), max_pixels=300_000)


def test_a_preview_of_too_many_pixels_is_refused():
    with pytest.raises(ImageTooLargeError):
        decoded(dng(SENSOR, preview=jpeg(Image.new("RGB", (900, 900)))), max_pixels=640 * 480)


@pytest.mark.parametrize("length", [9, 300, 600_000])
def test_a_truncated_file_is_unreadable_and_named(length):
    whole = dng(SENSOR)
    with pytest.raises(ImageUnreadableError, match=r"photo\.dng .*open it in an image program"):
        decoded(CR2 + whole[10:length])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as images.py does outside of tests
def test_random_damage_leads_to_our_errors_or_a_picture():
    whole, random = dng(marked((64, 48)), preview=jpeg(marked((128, 96)))), np.random.default_rng(5)
    for _ in range(300):
        data = np.frombuffer(whole, np.uint8).copy()
        data[random.integers(0, len(data), 5)] = random.integers(0, 256, 5)
        with suppress(ImageUnreadableError, ImageTooLargeError):
            assert decoded(data.tobytes(), max_pixels=100_000).image.mode == "RGB"


@pytest.mark.parametrize(
    "beginning",
    [CR2, b"\0\0\0\x18ftypcrx ", b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0", b"IIRS\x08\0", b"MMOR\0\0", b"IIU\0\x18\0"],
)
def test_formats_of_camera_makers_are_recognised_by_their_first_bytes(beginning):
    assert raw.is_raw(beginning + bytes(100))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_an_ordinary_tiff_is_no_raw(compression):
    buffer = BytesIO()
    SENSOR.save(buffer, "TIFF", compression=compression)
    assert not raw.is_raw(buffer.getvalue())


def tiff_with_sensor_below(order):
    """Return a TIFF like NEF and ARW: the first directory points to that of the sensor."""
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    first = struct.pack(f"{order}HHHIII", 1, 330, 4, 1, 26, 0)
    below = struct.pack(f"{order}HHHIHHI", 1, 262, 3, 1, 32803, 0, 0)
    return header + first + below


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_with_sensor_data_is_raw_in_either_byte_order(order):
    assert raw.is_raw(tiff_with_sensor_below(order))


@pytest.mark.parametrize("data", [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\xff\xff\xff\xff", b"\xff\xd8\xff"])
def test_a_file_that_is_cut_short_is_no_raw(data):
    assert not raw.is_raw(data)


def test_directories_in_a_circle_are_walked_once():
    circle = b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0"
    assert not raw.is_raw(circle)
