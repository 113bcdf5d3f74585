"""The pixels of a CLIP network equal those of the model's own image processor, bit by bit."""

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessor

from image_embeddings.encoders import clip_pixels
from image_embeddings.encoders.clip_pixels import make_preprocess

SIZES = [(224, 224), (1000, 750), (750, 1000), (225, 449), (640, 223), (50, 64), (7, 5), (600, 40), (40, 600)]
PROCESSORS = {
    "usual": CLIPImageProcessor(),
    "larger than its square": CLIPImageProcessor(size={"shortest_edge": 256}),
    "other levels": CLIPImageProcessor(image_mean=[0.5, 0.25, 0], image_std=[0.5, 1, 2], resample=2),
    "not normalised": CLIPImageProcessor(do_normalize=False),
}


def noise(width, height):
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8))


def by_processor(processor, image):
    return processor(image, return_tensors="np").pixel_values[0]


@pytest.mark.parametrize("name", PROCESSORS)
def test_pixels_equal_those_of_the_processor_without_asking_it(name):
    processor = PROCESSORS[name]
    calls = []

    class Counting:
        size, crop_size, resample = processor.size, processor.crop_size, processor.resample

        def __call__(self, image, **options):
            calls.append(image.size)
            return processor(image, **options)

    preprocess = make_preprocess(Counting())
    calls.clear()
    for size in SIZES:
        image = noise(*size)
        assert np.array_equal(preprocess(image), by_processor(processor, image)), size
    assert calls == []


@pytest.mark.parametrize(
    "processor",
    [
        CLIPImageProcessor(do_center_crop=False, size={"height": 224, "width": 224}),
        CLIPImageProcessor(do_resize=False),
        CLIPImageProcessor(crop_size={"height": 200, "width": 224}),
        CLIPImageProcessor(size={"shortest_edge": 100}),
    ],
    ids=["to a square", "as large as it is", "another crop", "a frame of black"],
)
def test_a_processor_that_works_in_another_way_is_asked_itself(processor):
    preprocess = make_preprocess(processor)
    for size in ((300, 400), (224, 224)):
        assert np.array_equal(preprocess(noise(*size)), by_processor(processor, noise(*size)))


def test_very_thin_images_are_cut_to_their_middle():
    image = noise(4000, 4)
    middle = image.crop((1968, 0, 2032, 4))
    preprocess = make_preprocess(PROCESSORS["usual"])
    assert np.array_equal(preprocess(image), by_processor(PROCESSORS["usual"], middle))
    assert clip_pixels.square_enough(noise(100, 3)).size == (48, 4)
