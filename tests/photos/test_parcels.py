"""What goes from one process to another."""

import os
from pickle import PickleBuffer

import pytest
from PIL import Image

from image_embeddings.photos import parcels


@pytest.fixture
def file():
    made = parcels.make_file()
    yield made
    os.close(made)


def test_what_is_read_is_what_was_written(file):
    image = Image.effect_noise((30, 20), 50).convert("RGB")
    for value in ("text", ["a", {"b": 1}], b"bytes", image):
        assert parcels.read(file, parcels.write(file, value)) == value


def test_buffers_are_no_part_of_the_pickle_and_come_as_bytes(file):
    data = bytes(range(256)) * 1000
    sizes = parcels.write(file, ("name", PickleBuffer(data)))
    assert sizes[1:] == [len(data)]
    assert sizes[0] < 100
    assert parcels.read(file, sizes) == ("name", data)


def test_a_large_parcel_leaves_no_memory_behind(file):
    for size, kept in ((1000, True), (parcels.KEPT_BYTES + 1, False)):
        parcels.read(file, parcels.write(file, PickleBuffer(bytes(size))))
        assert bool(os.fstat(file).st_size) is kept


def test_a_parcel_that_is_cut_is_no_value(file):
    sizes = parcels.write(file, PickleBuffer(bytes(1000)))
    os.ftruncate(file, 500)
    with pytest.raises(EOFError, match="bytes of a parcel are missing"):
        parcels.read(file, sizes)
