"""The image half of CLIP as a network: what it gives, and what it is called."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from image_embeddings.encoders import ClipEncoder, clip_half, clip_int8
from image_embeddings.encoders.onnx_network import NetworkStore
from image_embeddings.errors import ModelUnavailableError
from tests.tiny_models import make_clip_folder


@pytest.fixture
def half(tmp_path):
    return clip_half.half_of(ClipEncoder(str(make_clip_folder(tmp_path / "tiny-clip")))._image_model.get())


def test_the_network_gives_what_the_half_gives_for_batches_of_any_size(half):
    import torch

    pixels = np.random.default_rng(0).normal(size=(9, 3, 224, 224)).astype(np.float32)
    network = NetworkStore().open("float32", lambda file: clip_half.write_float32(half, file))
    with torch.inference_mode():
        expected = half(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(network(pixels), expected, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate([network(pixels[:1]), network(pixels[1:])]), network(pixels))


def test_a_model_that_is_no_clip_has_no_such_half(half):
    model = MagicMock(device=SimpleNamespace(type="cpu"))
    model.__iter__.return_value = []
    model.__getitem__.return_value.model = half.visual_projection
    with pytest.raises(ModelUnavailableError, match="made of a CLIP, and this model is a Linear"):
        clip_half.half_of(model)


def test_the_name_of_a_network_depends_on_all_that_it_is_made_of(half):
    pixels = np.zeros((1, 3, 224, 224), np.float32)

    def names():
        return {
            clip_half.float32_name(half),
            clip_int8.name(half, pixels, "int8"),
            clip_int8.name(half, pixels, "int8-mixed"),
            clip_int8.name(half, pixels + 1, "int8"),
        }

    before = names()
    assert len(before) == 4
    assert names() == before
    half.vision_model.config.hidden_act = "gelu"
    assert not names() & before
    half.vision_model.config.hidden_act = "quick_gelu"
    assert names() == before
    half.visual_projection.weight.data[0, 0] += 1
    assert not names() & before
