"""The image half of CLIP, in the number format that suits the machine.

On a CPU, ONNX Runtime computes it in float32. A photo gets the same embedding, to the last bit, if it is encoded alone
or with others, on one core or on several. Elsewhere torch computes it. torch adds up in another order for one photo
than for many.

On some CPUs int8 is three times as fast as float32, on others no faster. It costs some accuracy; how much depends on
the model. So both formats are tried on sample photos.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from image_embeddings.encoders import clip_half, clip_int8
from image_embeddings.encoders.clip_pixels import Preprocess, make_preprocess
from image_embeddings.encoders.onnx_network import Network, NetworkStore, cores
from image_embeddings.errors import ModelUnavailableError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

Array = NDArray[np.float32]
Embed = Callable[[Array], Array]  # pixels, shape (n, 3, side, side) -> raw embeddings, shape (n, dims)

AUTO, FLOAT32, BFLOAT16, INT8 = "auto", "float32", "bfloat16", "int8"
AGREEMENT = 0.999  # lowest cosine to float32 at which a format is chosen
WORTHWHILE = 1.2  # times the speed of float32, at least
MANY = 1000  # images; from here on, trying the formats saves more time than it takes
PROBES = 16  # sample photos to try the formats on
MEMORY_TO_MAKE = 6  # times the size of the float32 weights, to make a network
PER_CALL = 8  # photos, while the formats are timed

# int8 for all products with weights, or for all but those behind the activation function, which lose most by it.
INT8_VARIANTS: dict[str, tuple[str, ...]] = {"int8": (), "int8-mixed": ("/fc2/",)}

_log = logging.getLogger(__name__)


class Model(Protocol):
    """A source of the model."""

    def get(self) -> SentenceTransformer:
        """Return the model; load it when it is first needed."""

    def release(self) -> None:
        """Tell that the model is not needed any more."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A way to embed images: a number format, with its measured agreement and speed."""

    name: str
    precision: str
    embed: Embed
    calls: int  # at a time, for the best speed
    needs_torch: bool = False
    agreement: float = 1.0  # lowest cosine to float32 over the sample photos
    speed: float = 0.0  # times the speed of float32; 0 if it was not measured

    def __str__(self) -> str:
        """Return the format as users read it."""
        faster = f"{self.speed:.1f} × the speed of float32, " if self.speed else ""
        return f"{self.name} ({faster}cosine to float32 at least {math.floor(self.agreement * 10_000) / 10_000})"


class ClipImages:
    """Embeds images by the image half of a CLIP model, in the number format that `precision` names.

    `auto` is float32 until `prepare_for` finds a faster format that agrees with float32. The formats are tried on
    `photos`. `networks` stores the networks that are made of the model.
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
        self._preprocess: Preprocess | None = None

    @property
    def calls(self) -> int:
        """The number of calls of `embed` at a time that is fastest; 1 until a format is prepared or in use."""
        return self._format.calls if self._format else 1

    @property
    def precision(self) -> str:
        """The number format in use."""
        return self._loaded().precision

    def preprocess(self, image: Image.Image) -> Array:
        """Return the pixels that the network looks at, shape (3, side, side)."""
        return self._processor()(image)

    def embed(self, pixels: Sequence[Array]) -> Array:
        """Return the raw embeddings of preprocessed images, shape (n, dims); n ≥ 1."""
        return self._loaded().embed(np.stack(pixels))

    def prepare_for(self, images: int) -> str:
        """Choose the format for this many images if none is set; return a line on what was tried, or an empty text."""
        if self._precision == AUTO and images >= MANY:
            return self._choose()
        if not images:
            return ""
        loaded = self._loaded()
        if self._precision == AUTO:
            return ""
        return f"CLIP runs in {loaded if self._precision == INT8 else self._precision}."

    def _choose(self) -> str:
        with self._lock:
            chosen = float32 = self._loaded()
            photos = self._photos()
            if not photos or self._model.get().device.type != "cpu":
                return ""
            pixels = self._pixels(photos)
            said: list[str] = []
            for found in self._faster(pixels, said=said):
                tried = _timed(_compare(found, float32, pixels), float32, pixels)
                said.append(str(tried))
                if tried.agreement >= AGREEMENT and tried.speed >= WORTHWHILE:
                    chosen = tried
                    break
            return f"CLIP runs in {self._use(chosen).precision}. Tried: {'; '.join(said)}."

    def _loaded(self) -> Format:
        with self._lock:
            if self._format is None:
                self._processor()  # while the model is there
                if self._precision == INT8:
                    return self._use(self._choose_int8())
                if self._precision == BFLOAT16:
                    return self._use(_by_torch(self._model.get(), BFLOAT16))
                return self._use(self._in_float32())
            return self._format

    def _use(self, chosen: Format) -> Format:
        """Use a format from now on, and return it. Let the model go if the format does without it."""
        self._format = chosen
        if not chosen.needs_torch:
            self._model.release()
        return chosen

    def _in_float32(self) -> Format:
        """Return float32 by ONNX Runtime, or by torch if that is not possible. Let the model go if it is not needed."""
        try:
            name = self._float32_name()
            if self._networks.has(name):
                self._model.release()  # so that the weights are not in memory twice
            network = self._networks.open(name, self._write_float32)
        except ModelUnavailableError as error:
            _log.info("CLIP runs in torch. %s", error)
            return _by_torch(self._model.get(), FLOAT32)
        return Format(name=FLOAT32, precision=FLOAT32, embed=network, calls=cores())

    def _float32_name(self) -> str:
        """Return the name of the network in float32; check that there is memory to make it if it is missing."""
        half = clip_half.half_of(self._model.get())
        name = clip_half.float32_name(half)
        if not self._networks.has(name):
            _check_memory(half)
        return name

    def _write_float32(self, file: Path) -> None:
        """Write the network in float32, and check that it does what the whole model does."""
        model, pixels = self._model.get(), self.preprocess(_noise())[None]
        clip_half.write_float32(clip_half.half_of(model), file)
        if _agreement(Network(file)(pixels), _by_torch(model, FLOAT32).embed(pixels)) < AGREEMENT:
            raise ModelUnavailableError("The network gives other embeddings than the model.")

    def _choose_int8(self) -> Format:
        """Return the first variant that agrees with float32, or else the one that agrees best."""
        pixels = self._pixels(self._photos() or [_noise()])
        model = self._model.get()
        float32 = _by_torch(model, FLOAT32)
        try:
            half = clip_half.half_of(model)
            tried = []
            for found in self._in_int8(half, pixels):
                tried.append(_compare(found, float32, pixels))
                if tried[-1].agreement >= AGREEMENT:
                    break
        except ModelUnavailableError as error:
            raise ModelUnavailableError(f"{error} Unset ENCODER_PRECISION, which is int8.") from error
        return max(tried, key=lambda format_: format_.agreement)

    def _faster(self, pixels: Array, *, said: list[str]) -> Iterator[Format]:
        """Yield formats that may be faster than float32, the likeliest first; add to `said` why int8 is missing."""
        try:
            yield from self._in_int8(clip_half.half_of(self._model.get()), pixels, spare=True)
        except ModelUnavailableError as error:
            said.append(f"int8, in vain: {str(error).rstrip('.')}")
        yield _by_torch(self._model.get(), BFLOAT16)

    def _in_int8(self, half: torch.nn.Module, pixels: Array, *, spare: bool = False) -> Iterator[Format]:
        """Yield the int8 variants; if `spare`, make them only if there is enough memory."""
        for variant, keep in INT8_VARIANTS.items():
            name = clip_int8.name(half, pixels, variant)
            if spare and not self._networks.has(name):
                _check_memory(half)
            network = self._networks.open(name, partial(clip_int8.write, half, pixels, keep))
            yield Format(name=variant, precision=INT8, embed=network, calls=cores())

    def _processor(self) -> Preprocess:
        """Return what makes pixels of images; it is read from the model once."""
        with self._lock:
            self._preprocess = self._preprocess or make_preprocess(_processor_of(self._model.get()))
            return self._preprocess

    def _pixels(self, photos: Sequence[Image.Image]) -> Array:
        return np.stack([self.preprocess(photo) for photo in photos[:: -(-len(photos) // PROBES)]])


def _noise() -> Image.Image:
    """Return an image of noise, always the same, to use if there are no photos."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8))


def _processor_of(model: SentenceTransformer) -> Any:
    try:
        return model[0].processor.image_processor
    except AttributeError:
        raise ModelUnavailableError(
            f"The image model is a {type(model[0]).__name__}, which cannot encode photos. Give IMAGE_MODEL a "
            "sentence-transformers CLIP, or use IMAGE_MODEL=conse."
        ) from None


def _by_torch(model: SentenceTransformer, name: str) -> Format:
    """Return float32 or bfloat16 as sentence-transformers itself does it; torch spreads a call over the cores."""

    def embed(pixels: Array) -> Array:
        import torch

        autocast = torch.autocast(model.device.type, torch.bfloat16) if name == BFLOAT16 else nullcontext()
        with torch.inference_mode(), autocast:
            batch = torch.from_numpy(pixels).to(model.device)
            features = model({"pixel_values": batch, "image_text_info": [0] * len(batch)})
            return np.asarray(features["sentence_embedding"].float().cpu().numpy(), np.float32)

    return Format(name=name, precision=name, embed=embed, calls=1, needs_torch=True)


def _check_memory(half: torch.nn.Module) -> None:
    needed = MEMORY_TO_MAKE * sum(weight.numel() * weight.element_size() for weight in half.parameters())
    free = _free_memory()
    if free < needed:
        raise ModelUnavailableError(
            f"to make the network takes {needed / 2**30:.1f} GB of memory, and {free / 2**30:.1f} GB are free."
        )


def _free_memory() -> int:
    """Return the bytes of memory that this process can still take from the machine and its container."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:  # no control groups here, or another version of them
        return free
    return free if limit == "max" else min(free, int(limit) - int(used))


def _compare(found: Format, float32: Format, pixels: Array) -> Format:
    """Return the format with its agreement: the lowest cosine of an image to float32."""
    return replace(found, agreement=_agreement(found.embed(pixels), float32.embed(pixels)))


def _agreement(got: Array, expected: Array) -> float:
    """Return the lowest cosine of two rows, of two arrays of shape (n, dims)."""
    cosines = (expected * got).sum(axis=1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(got, axis=1)
    return float(cosines.min())


def _timed(found: Format, float32: Format, pixels: Array) -> Format:
    """Return the format with its speed, as a multiple of the speed of float32."""
    calls = [pixels[:PER_CALL]] * max(found.calls, 2)
    return replace(found, speed=_seconds(float32, calls) / _seconds(found, calls))


def _seconds(way: Format, calls: Sequence[Array]) -> float:
    """Return the seconds for these calls, as many at a time as the format likes; the better of two runs."""

    def once() -> float:
        begun = time.perf_counter()
        list(pool.map(way.embed, calls))
        return time.perf_counter() - begun

    with ThreadPoolExecutor(way.calls) as pool:
        return min(once(), once())
