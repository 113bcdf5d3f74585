"""The image half of CLIP, in the number format that suits the machine.

On a CPU int8 may be three times as fast as float32, or not at all, and costs some accuracy, more or less of it by the
model: so the two are tried on sample photos. Outliers among activations cost most; they are moved into the weights
beforehand, as by Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language
Models", 2023.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_embeddings.encoders.onnx_network import Network, NetworkStore, export, quantize
from image_embeddings.errors import ModelUnavailableError, first_line

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import CLIPModel

Array = NDArray[np.float32]
Embed = Callable[[Array], Array]  # pixels, shape (n, 3, side, side) -> raw embeddings, shape (n, dims)

AUTO, FLOAT32, BFLOAT16, INT8 = "auto", "float32", "bfloat16", "int8"
AGREEMENT = 0.999  # least cosine to float32 of a format that is chosen here
WORTHWHILE = 1.2  # times the speed of float32
MANY = 1000  # images, for which trying the formats takes less time than it saves
PROBES = 16  # sample photos that the formats are tried on
PER_CALL = 8  # photos, when the formats are timed
SMOOTHING = 0.5  # how much of the outliers the weights take: 0 none, 1 all
SHORTEST_SIDE = 4  # pixels
LONGEST_SHAPE = 16  # times the short side

MADE_BY = "smoothed-1"  # a new name for networks that are made in another way

# int8 for all matrix products; or without those behind the activation function, where outliers cannot be moved away
INT8_VARIANTS: dict[str, tuple[str, ...]] = {"int8": (), "int8-mixed": ("/fc2/",)}

_log = logging.getLogger(__name__)


class Model(Protocol):
    """Where the model comes from."""

    def get(self) -> SentenceTransformer:
        """The model, loaded when it is first asked for."""

    def release(self) -> None:
        """Says that it is not needed any more."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A way to embed images: a number format, and what was found out about it."""

    name: str
    precision: str
    embed: Embed
    calls: int  # that serve the machine best at a time
    agreement: float = 1.0  # least cosine to float32 over the sample photos
    speed: float = 1.0  # times that of float32

    def __str__(self) -> str:
        """As users read it."""
        least = math.floor(self.agreement * 10_000) / 10_000
        return f"{self.name} ({self.speed:.1f} × the speed of float32, cosine to it at least {least})"


class ClipImages:
    """Embeds images by the image half of a CLIP model, in the number format that `precision` names.

    `auto` is float32 until `prepare_for` finds a faster format that agrees with it. `photos` are those that the formats
    are tried on, `networks` keeps what was made of the model.
    """

    def __init__(
        self,
        model: Model,
        *,
        precision: str,
        photos: Callable[[], Sequence[Image.Image]],
        networks: NetworkStore,
    ) -> None:
        self._model, self._precision, self._photos, self._networks = model, precision, photos, networks
        self._lock = threading.RLock()
        self._format: Format | None = None
        self._processor: Any = None

    @property
    def calls(self) -> int:
        """How many calls of `embed` at a time serve the machine best; known once a format is prepared or in use."""
        return self._format.calls if self._format else 1

    @property
    def precision(self) -> str:
        """The number format in use."""
        return self._loaded().precision

    def preprocess(self, image: Image.Image) -> Array:
        """The pixels that the network looks at, shape (3, side, side)."""
        with self._lock:
            self._processor = self._processor or _processor(self._model.get())
        pixels = self._processor(square_enough(image), return_tensors="pt").pixel_values[0]
        return np.asarray(pixels, np.float32)

    def embed(self, pixels: Sequence[Array]) -> Array:
        """Raw embeddings of preprocessed images, shape (n, dims); n ≥ 1."""
        return self._loaded().embed(np.stack(pixels))

    def prepare_for(self, images: int) -> str:
        """Chooses the format for so many images, where it is not told; a line on what was tried, if anything was."""
        if images < (MANY if self._precision == AUTO else 1):
            return ""
        with self._lock:
            self._loaded()
            model = self._model.get()
            photos = self._photos()
            if self._precision != AUTO or not photos or model.device.type != "cpu":
                return ""
            pixels = self._pixels(photos)
            float32 = _by_torch(model, FLOAT32)
            tried = []
            for tried_format in self._formats(model, pixels):
                tried.append(_compared(tried_format, float32, pixels))
                if tried[-1].agreement >= AGREEMENT and tried[-1].speed >= WORTHWHILE:
                    self._format = tried[-1]
                    break
            if self._loaded().precision == INT8:
                self._model.release()
            return f"CLIP runs in {self._loaded().precision}. Tried: {'; '.join(map(str, tried)) or 'nothing else'}."

    def _loaded(self) -> Format:
        with self._lock:
            if self._format is None:
                self._format = self._told(self._model.get())
            return self._format

    def _told(self, model: SentenceTransformer) -> Format:
        if self._precision != INT8:
            return _by_torch(model, BFLOAT16 if self._precision == BFLOAT16 else FLOAT32)
        photos = self._photos() or [Image.effect_noise((224, 224), 64).convert("RGB")]
        formats = self._in_int8(model, self._pixels(photos))
        try:
            return next(formats)
        except RuntimeError as error:
            raise ModelUnavailableError(
                f"The image model cannot be turned into int8 ({first_line(error)}). Unset ENCODER_PRECISION."
            ) from error

    def _formats(self, model: SentenceTransformer, pixels: Array) -> Iterator[Format]:
        """What may be faster than float32, the likeliest first."""
        try:
            yield from self._in_int8(model, pixels)
        except RuntimeError as error:  # the network has parts that torch cannot export
            _log.info("The image model cannot be turned into int8: %s", first_line(error))
        yield _by_torch(model, BFLOAT16)

    def _in_int8(self, model: SentenceTransformer, pixels: Array) -> Iterator[Format]:
        import joblib

        clip: CLIPModel = model[0].model
        weights = _digest(clip)
        for variant, keep in INT8_VARIANTS.items():
            network = self._networks.open(f"{weights}-{variant}", partial(_write_int8, clip, pixels, keep))
            yield Format(name=variant, precision=INT8, embed=partial(_one_by_one, network), calls=joblib.cpu_count())

    def _pixels(self, photos: Sequence[Image.Image]) -> Array:
        return np.stack([self.preprocess(photo) for photo in photos[:: -(-len(photos) // PROBES)]])


def square_enough(image: Image.Image) -> Image.Image:
    """The image, without what the processor would only stumble over.

    It scales the short side to its own, and looks at the square in the middle: of a very thin image, that is a moment's
    work on a strip and minutes on the whole. And a side of three pixels it takes for the colour channels.
    """
    width, height = (min(side, LONGEST_SHAPE * min(image.size)) for side in image.size)
    if (width, height) != image.size:
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    size = (max(width, SHORTEST_SIDE), max(height, SHORTEST_SIDE))
    return image if size == image.size else image.resize(size, Image.Resampling.NEAREST)


def _processor(model: SentenceTransformer) -> Any:
    try:
        return model[0].processor.image_processor
    except AttributeError:
        raise ModelUnavailableError(
            f"The image model is a {type(model[0]).__name__}, which cannot encode photos. Give IMAGE_MODEL a "
            "sentence-transformers CLIP, or use IMAGE_MODEL=conse."
        ) from None


def _by_torch(model: SentenceTransformer, precision: str) -> Format:
    """As sentence-transformers itself does it; torch spreads a call over the cores."""

    def embed(pixels: Array) -> Array:
        import torch

        bfloat16 = torch.autocast(model.device.type, torch.bfloat16, enabled=precision == BFLOAT16)
        with torch.inference_mode(), bfloat16:
            batch = torch.from_numpy(pixels).to(model.device)
            features = model({"pixel_values": batch, "image_text_info": [0] * len(batch)})
            return np.asarray(features["sentence_embedding"].float().cpu().numpy(), np.float32)

    return Format(name=precision, precision=precision, embed=embed, calls=1)


def _one_by_one(network: Network, pixels: Array) -> Array:
    """In int8 a batch has one scale for all: an embedding would depend on what happens to be beside it."""
    return np.concatenate([network(one[None]) for one in pixels])


def _compared(tried: Format, float32: Format, pixels: Array) -> Format:
    """The format, with how it does against float32: by the worst of the images, and by the time for all."""
    expected, found = float32.embed(pixels), tried.embed(pixels)
    agreement = (expected * found).sum(axis=1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    batch = np.tile(pixels, (-(-tried.calls * PER_CALL // len(pixels)), 1, 1, 1))
    speed = _seconds(float32, batch) / _seconds(tried, batch)
    return replace(tried, agreement=float(agreement.min()), speed=speed)


def _seconds(way: Format, batch: Array) -> float:
    """Time to embed the batch, by as many calls at a time as the format likes; the better of two."""

    def once() -> float:
        begun = time.perf_counter()
        list(pool.map(way.embed, np.array_split(batch, way.calls)))
        return time.perf_counter() - begun

    with ThreadPoolExecutor(way.calls) as pool:
        return min(once(), once())


def _digest(clip: CLIPModel) -> str:
    """A name for the weights of the image half, and for how networks are made of them."""
    digest = hashlib.sha256(MADE_BY.encode())
    for name, tensor in sorted(_image_half(clip).state_dict().items()):
        digest.update(name.encode() + np.ascontiguousarray(tensor.numpy()).tobytes())
    return digest.hexdigest()[:32]


def _write_int8(clip: CLIPModel, pixels: Array, keep: Collection[str], file: Path) -> None:
    import torch

    half = copy.deepcopy(_image_half(clip))
    examples = torch.from_numpy(pixels)
    _smooth(half, half.vision_model.encoder.layers, examples)
    exported = file.with_suffix(".float32.onnx")
    export(half, example=examples[:2], file=exported)
    quantize(exported, file, keep=keep)
    exported.unlink()


def _image_half(clip: CLIPModel) -> Any:
    from torch import Tensor, nn

    class ImageHalf(nn.Module):
        """Pixels -> raw embeddings."""

        def __init__(self) -> None:
            super().__init__()
            self.vision_model, self.visual_projection = clip.vision_model, clip.visual_projection

        def forward(self, pixels: Tensor) -> Tensor:
            embeddings: Tensor = self.visual_projection(self.vision_model(pixel_values=pixels)[1])
            return embeddings

    return ImageHalf()


def _smooth(half: torch.nn.Module, layers: Iterable[Any], pixels: torch.Tensor) -> None:
    """Scales channels down where activations are large, and the weights behind them up by as much: the same function.

    Possible where a linear layer, or a normalisation, comes straight before a linear one.
    """
    import torch

    largest = _largest_inputs(half, pixels)
    with torch.inference_mode():
        for layer in layers:
            attention = layer.self_attn
            for before, behind in (
                (layer.layer_norm1, (attention.q_proj, attention.k_proj, attention.v_proj)),
                (layer.layer_norm2, (layer.mlp.fc1,)),
                (attention.v_proj, (attention.out_proj,)),
            ):
                weights = torch.stack([linear.weight.abs().amax(0) for linear in behind]).amax(0).clamp(min=1e-5)
                scale = largest[behind[0]].clamp(min=1e-5) ** SMOOTHING / weights ** (1 - SMOOTHING)
                before.weight /= scale if before.weight.dim() == 1 else scale[:, None]
                before.bias /= scale
                for linear in behind:
                    linear.weight *= scale


def _largest_inputs(half: torch.nn.Module, pixels: torch.Tensor) -> dict[torch.nn.Module, torch.Tensor]:
    """Linear layer -> the largest absolute value of each of its input channels, shape (channels,)."""
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
