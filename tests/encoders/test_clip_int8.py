"""The int8 network of the image half of CLIP: outliers cost it little accuracy."""

import copy

import numpy as np
import pytest

from image_embeddings.encoders import clip_half, clip_int8
from image_embeddings.encoders.onnx_int8 import quantize
from image_embeddings.encoders.onnx_network import NetworkStore, export
from image_embeddings.sources.samples import captioned_photos


def cosines(one, other):
    return (one * other).sum(axis=1)


@pytest.fixture(scope="module")
def with_outliers():
    """Return a vision tower with some channels 20 times as large as the others, as in trained models."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    config = CLIPVisionConfig(hidden_size=256, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4)
    tower = CLIPVisionModelWithProjection(config).eval()
    with torch.no_grad():
        for layer in tower.vision_model.encoder.layers:
            for normalization in (layer.layer_norm1, layer.layer_norm2):
                normalization.weight[torch.randperm(256)[:4]] *= 20
            layer.mlp.fc1.weight[torch.randperm(512)[:4]] *= 20
    return tower


@pytest.fixture(scope="module")
def pixels():
    photos = [image for image, _ in captioned_photos()][:8]
    arrays = [np.asarray(photo.resize((224, 224)), np.float32).transpose(2, 0, 1) / 64 - 2 for photo in photos]
    return np.stack(arrays)


def by_torch(half, pixels):
    import torch

    with torch.inference_mode():
        return half(torch.from_numpy(pixels)).numpy()


def test_smoothing_changes_no_embedding(with_outliers, pixels):
    import torch

    half = copy.deepcopy(clip_half.image_half(with_outliers))
    before = by_torch(half, pixels)
    clip_int8._smooth(half, half.vision_model.encoder.layers, torch.from_numpy(pixels))
    np.testing.assert_allclose(by_torch(half, pixels), before, rtol=1e-3, atol=1e-3 * np.abs(before).max())


def test_smoothing_keeps_int8_near_float32_if_there_are_outliers(with_outliers, pixels, tmp_path):
    import torch

    half = clip_half.image_half(with_outliers)
    expected = by_torch(half, pixels)

    def plain(file):
        export(half, example=torch.from_numpy(pixels[:2]), file=tmp_path / "float32.onnx")
        quantize(tmp_path / "float32.onnx", file)

    def smoothed(file):
        clip_int8.write(half, pixels[:4], (), file)

    def error(make):
        found = NetworkStore().open("int8", make)(pixels)
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        return 1 - (cosines(found, expected) / norms).min()

    assert error(smoothed) < error(plain) / 4
    np.testing.assert_array_equal(by_torch(half, pixels), expected)  # the model itself stays as it was
