"""Makes the int8 network of the image half of CLIP.

Outliers among activations cost most of the accuracy. They are moved into the weights beforehand: Xiao et al.,
"SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2023.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_embeddings.encoders.clip_half import digest, write_float32
from image_embeddings.encoders.clip_pixels import Pixels
from image_embeddings.encoders.onnx_int8 import quantize

if TYPE_CHECKING:
    import torch

SMOOTHING = 0.5  # share of the outliers that moves into the weights: 0 none, 1 all
MADE_BY = b"smoothed-2"  # change this if networks are made in another way


def name(half: Any, pixels: Pixels, variant: str) -> str:
    """Return the name of a variant of the network; `pixels` are those that `write` gets."""
    return f"{digest(half, made_of=MADE_BY + pixels.tobytes())}-{variant}"


def write(half: Any, pixels: Pixels, keep: Collection[str], file: Path) -> None:
    """Write the int8 network of an image half to a file. `keep` names parts of products that stay in float32.

    `pixels` of some photos, shape (n, 3, side, side), show which channels have outliers.
    """
    import torch

    half = copy.deepcopy(half)
    _smooth(half, half.vision_model.encoder.layers, torch.from_numpy(pixels))
    exported = file.with_suffix(".float32.onnx")
    write_float32(half, exported)
    quantize(exported, file, keep=keep)
    exported.unlink()


def _smooth(half: torch.nn.Module, layers: Iterable[Any], pixels: torch.Tensor) -> None:
    """Scale channels down if their activations are large, and scale the following weights up by as much.

    The function that the network computes stays the same. The scale goes into the layer before, if that is linear or a
    normalisation. Behind an activation function it is a product of its own.
    """
    import torch

    largest = _largest_inputs(half, pixels)
    with torch.inference_mode():
        for layer in layers:
            attention, mlp = layer.self_attn, layer.mlp
            for before, behind in (
                (layer.layer_norm1, (attention.q_proj, attention.k_proj, attention.v_proj)),
                (layer.layer_norm2, (mlp.fc1,)),
                (attention.v_proj, (attention.out_proj,)),
            ):
                scale = _move_outliers(behind, largest[behind[0]])
                before.weight /= scale if before.weight.dim() == 1 else scale[:, None]
                before.bias /= scale
            mlp.activation_fn = _divided(mlp.activation_fn, by=_move_outliers((mlp.fc2,), largest[mlp.fc2]))


def _move_outliers(linears: Collection[torch.nn.Linear], largest: torch.Tensor) -> torch.Tensor:
    """Scale the weights of linear layers up, and return by what their common input has to be divided: (channels,).

    `largest` are the largest absolute values of the input, shape (channels,).
    """
    import torch

    weights = torch.stack([linear.weight.abs().amax(0) for linear in linears]).amax(0).clamp(min=1e-5)
    scale = largest.clamp(min=1e-5) ** SMOOTHING / weights ** (1 - SMOOTHING)
    for linear in linears:
        linear.weight *= scale
    return scale


def _divided(function: torch.nn.Module, *, by: torch.Tensor) -> torch.nn.Module:
    """Return a module that does what `function` does, and divides each channel of the result."""
    from torch import Tensor, nn

    class Divided(nn.Module):
        """A function and a division."""

        def __init__(self) -> None:
            super().__init__()
            self.function, self.factor = function, nn.Parameter(1 / by, requires_grad=False)

        def forward(self, values: Tensor) -> Tensor:
            divided: Tensor = self.function(values) * self.factor
            return divided

    return Divided()


def _largest_inputs(half: torch.nn.Module, pixels: torch.Tensor) -> dict[torch.nn.Module, torch.Tensor]:
    """Return for each linear layer the largest absolute value of each of its input channels, shape (channels,)."""
    import torch

    largest = {}

    def look(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        largest[module] = inputs[0].abs().flatten(0, -2).amax(0)

    hooks = [m.register_forward_pre_hook(look) for m in half.modules() if isinstance(m, torch.nn.Linear)]
    try:
        with torch.inference_mode():
            half(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return largest
