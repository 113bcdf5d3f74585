"""The image half of CLIP alone, as a network of ONNX Runtime."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from image_embeddings.encoders.onnx_network import export
from image_embeddings.errors import ModelUnavailableError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import CLIPModel

MADE_BY = b"float32-1"  # change this if networks in float32 are made in another way


def half_of(model: SentenceTransformer) -> Any:
    """Return the image half of a model, as `image_half` does.

    Raises:
        ModelUnavailableError: the half does not do all that the model does, or the model is not on the CPU.
    """
    if model.device.type != "cpu":
        raise ModelUnavailableError(f"ONNX Runtime is for the CPU, and CLIP runs on {model.device.type} here.")
    others = [type(module).__name__ for module in list(model)[1:]]
    if set(others) - {"Normalize"}:
        raise ModelUnavailableError(f"The network is CLIP alone, and this model goes on with {', '.join(others)}.")
    clip = model[0].model
    if not (hasattr(clip, "vision_model") and hasattr(clip, "visual_projection")):
        raise ModelUnavailableError(f"The network is made of a CLIP, and this model is a {type(clip).__name__}.")
    return image_half(clip)


def image_half(clip: CLIPModel) -> Any:
    """Return the image half of a CLIP as a module from pixels to raw embeddings, (n, 3, side, side) -> (n, dims)."""
    from torch import Tensor, nn

    class ImageHalf(nn.Module):
        """A module from pixels to raw embeddings."""

        def __init__(self) -> None:
            super().__init__()
            self.vision_model, self.visual_projection = clip.vision_model, clip.visual_projection

        def forward(self, pixels: Tensor) -> Tensor:
            embeddings: Tensor = self.visual_projection(self.vision_model(pixel_values=pixels)[1])
            return embeddings

    return ImageHalf()


def digest(half: Any, *, made_of: bytes) -> str:
    """Return a name that changes with anything that a network is made of: 32 hexadecimal digits.

    `made_of` is what else it is made of, besides the configuration and the weights of the half.
    """
    digest = hashlib.sha256(made_of + half.vision_model.config.to_json_string().encode())
    for name, tensor in sorted(half.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).data)
    return digest.hexdigest()[:32]


def float32_name(half: Any) -> str:
    """Return the name of the network in float32 of an image half."""
    return f"{digest(half, made_of=MADE_BY)}-float32"


def write_float32(half: Any, file: Path) -> None:
    """Write the network in float32 of an image half to a file."""
    import torch

    side = half.vision_model.config.image_size
    export(half, example=torch.zeros(2, 3, side, side), file=file)
