import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from image_embeddings.photos.fingerprint import SIDE, fingerprint


def pixels(text):
    return np.asarray(Image.open(BytesIO(base64.b64decode(text)), formats=("WEBP",)).convert("L"), np.float32)


def ramp(size=(480, 320), *, lowest=0, highest=255):
    line = np.linspace(lowest, highest, size[0]).astype(np.uint8)
    return Image.fromarray(np.tile(line, (size[1], 1))).convert("RGB")


def test_a_fingerprint_is_a_tiny_copy_of_the_whole_picture():
    tiny = pixels(fingerprint(ramp()))
    assert tiny.shape == (SIDE, SIDE)
    assert tiny.mean(axis=0) == pytest.approx(np.linspace(0, 255, SIDE), abs=8)


def test_a_dark_picture_keeps_its_details():
    assert pixels(fingerprint(ramp(highest=50))).max() >= 245


def test_a_picture_without_details_is_not_stretched_to_noise():
    assert np.ptp(pixels(fingerprint(ramp(lowest=100, highest=103)))) <= 30


def test_the_same_picture_has_the_same_fingerprint():
    assert fingerprint(ramp()) == fingerprint(ramp())
    assert len(fingerprint(ramp())) < 1_500
