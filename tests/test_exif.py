import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from image_embeddings.exif import location

PARIS = {1: "N", 2: (48.0, 51.0, 24.0), 3: "E", 4: (2.0, 21.0, 7.0)}


def exif(gps):
    made = Image.Exif()
    made.get_ifd(0x8825).update(gps)
    return made


def test_north_and_east_are_positive():
    assert location(exif(PARIS)) == pytest.approx((48.8567, 2.3519), abs=1e-3)


def test_south_and_west_are_negative():
    assert location(exif({**PARIS, 1: "S", 3: "W"})) == pytest.approx((-48.8567, -2.3519), abs=1e-3)


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {1: "N"},
        {**PARIS, 2: (48.0,)},
        {**PARIS, 2: "north"},
        {**PARIS, 2: (91.0, 0.0, 0.0)},
        {**PARIS, 2: (IFDRational(1, 0), 0.0, 0.0)},
        {**PARIS, 4: (float("nan"), 0.0, 0.0)},
        {**PARIS, 4: (float("inf"), 0.0, 0.0)},
    ],
)
def test_a_missing_or_damaged_place_is_no_place(gps):
    assert location(exif(gps)) is None
