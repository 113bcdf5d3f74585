"""CLIP through sentence-transformers: photos by the image model, texts by a text model of the same space.

Sources: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021; for the
multilingual text model, Reimers and Gurevych, "Making Monolingual Sentence Embeddings Multilingual using Knowledge
Distillation", 2020.
"""

from __future__ import annotations

import gc
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_embeddings.documents import Embeddings
from image_embeddings.encoders import mclip, text_fit
from image_embeddings.encoders.base import Encoder
from image_embeddings.encoders.clip_images import AUTO, ClipImages
from image_embeddings.encoders.onnx_network import NetworkStore
from image_embeddings.encoders.quiet import quiet
from image_embeddings.errors import ModelMismatchError, ModelUnavailableError, first_line

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CLIP = "clip-ViT-B-32"
MULTILINGUAL_CLIP = "clip-ViT-B-32-multilingual-v1"
HUB_ORGANISATION = "sentence-transformers"
HUB_TIMEOUT = 5.0  # seconds in which the hub has to answer
TEXT_BATCH = 16  # texts encoded at a time

TEXT_MODELS = {CLIP: MULTILINGUAL_CLIP}  # the text models made for image models
_log = logging.getLogger(__name__)

_REMEDY = "Unset TEXT_MODEL for the one that fits, or name one that was made for this image model."

Samples = Callable[[], Sequence[tuple[Image.Image, Mapping[str, str]]]]  # photos, and captions by language


class ClipEncoder(Encoder):
    """Embeddings of a sentence-transformers CLIP model, equal to `SentenceTransformer.encode` but scaled to length 1.

    `image_model` and `text_model` are names on the hub or folders. If `text_model` is not given, texts are encoded by
    the multilingual model made for clip-ViT-B-32, or by the image model's own text half. Both models are loaded on
    first use.

    Any other text model is checked on `samples`, once, before it encodes its first text: it has to belong to the space
    of the image model. Without samples only its dims are checked.
    """

    preprocessing = "clip-1"

    def __init__(
        self,
        image_model: str,
        *,
        text_model: str | None = None,
        precision: str = AUTO,
        samples: Samples | None = None,
        networks: Path | None = None,
    ) -> None:
        self.model_id = model_id_of(image_model)
        made_for_it = TEXT_MODELS.get(self.model_id)
        name = _beside(text_model or made_for_it or image_model, image_model)
        self._image_model = _LazyModel(image_model)
        self._images = ClipImages(
            self._image_model,
            precision=precision,
            photos=lambda: [image for image, _ in samples()] if samples else [],
            networks=NetworkStore(networks),
        )
        self._text_model = self._image_model if name == image_model else _LazyModel(name)
        known = name == image_model or model_id_of(name) == made_for_it
        self._samples = None if known else samples
        self._text_name = text_model or name
        self._verdict: str | None = None  # why the text model is refused; empty if it is accepted
        self._judging = threading.Lock()

    @property
    def dims(self) -> int:  # type: ignore[override]
        """The length of an embedding, as the image model gives it."""
        if self._dims is None:
            self._dims = self._images.embed([self.preprocess(Image.new("RGB", (8, 8)))]).shape[1]
        return self._dims

    _dims: int | None = None

    @property
    def calls(self) -> int:
        """The number of calls at a time that suits the number format best."""
        return self._images.calls

    @property
    def precision(self) -> str:
        """The number format that was set, or that `prepare_for` has chosen."""
        return self._images.precision

    def prepare_for(self, images: int) -> str:
        """Look for a number format that is faster than float32, if there are many images."""
        return self._images.prepare_for(images)

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return the pixels that sentence-transformers makes of an image, shape (3, side, side)."""
        return self._images.preprocess(image)

    def _embed_images(self, images: Sequence[Any]) -> Embeddings:
        return self._images.embed(images)

    def _embed_texts(self, texts: Sequence[str]) -> Embeddings:
        with self._judging:
            if self._verdict is None:
                self._verdict = self._wrong_dims() or self._wrong_space()
        if self._verdict:
            raise ModelMismatchError(self._verdict)
        return self._text_model.encode(texts)

    def _wrong_dims(self) -> str:
        if self._text_model is self._image_model:
            return ""
        dims = self._text_model.encode(["a photo"]).shape[1]
        if dims == self.dims:
            return ""
        return (
            f"TEXT_MODEL '{self._text_name}' makes embeddings of {dims} dims, but image model '{self.model_id}' makes "
            f"{self.dims}: they cannot be compared. {_REMEDY}"
        )

    def _wrong_space(self) -> str:
        if self._samples is None:
            return ""
        photos = self._samples()
        if len(photos) < text_fit.FEWEST:
            _log.warning(
                "Whether TEXT_MODEL '%s' belongs to image model '%s' cannot be checked: the sample photos are missing.",
                self._text_name,
                self.model_id,
            )
            return ""
        images = self.encode_images([image for image, _ in photos])
        best = -np.inf
        # Most models know English, which comes first. The other languages are for models that do not.
        for language in dict.fromkeys(language for _, captions in photos for language in captions):
            shown = [number for number, (_, captions) in enumerate(photos) if language in captions]
            if len(shown) >= text_fit.FEWEST:
                texts = self._text_model.encode([photos[number][1][language] for number in shown])
                best = max(best, text_fit.alignment(self._normalized(texts, count=len(shown)), images[shown]))
            if best >= text_fit.ALIGNED:
                return ""
        return (
            f"TEXT_MODEL '{self._text_name}' has the dims of image model '{self.model_id}', but was trained for "
            f"another: captions of {len(photos)} sample photos do not find their photos in any language (agreement "
            f"{best:.1f}, where 0 is chance and {text_fit.ALIGNED:.0f} the least of one space). {_REMEDY}"
        )


class _LazyModel:
    """A SentenceTransformer that is loaded once, on first use, also if several threads want it at the same time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loaded: SentenceTransformer | None = None
        self._encodes_texts = False

    def get(self) -> SentenceTransformer:
        with self._lock:
            self._loaded = self._loaded or _load(self._name)
            return self._loaded

    def release(self) -> None:
        """Tell that photos do not need the model any more. It stays if it encodes texts, too."""
        with self._lock:
            if not self._encodes_texts:
                self._loaded = None
                gc.collect()  # its modules refer to each other in circles

    def encode(self, texts: Sequence[str]) -> Embeddings:
        self._encodes_texts = True
        # The library sorts texts by length and pads a batch to its longest text, so small batches waste less.
        vectors = self.get().encode(list(texts), batch_size=TEXT_BATCH, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)


def model_id_of(name: str) -> str:
    """Return the model_id: the folder's own name, or the hub name without `sentence-transformers/`."""
    if _is_folder(name):
        return Path(name).expanduser().resolve().name
    return name.removeprefix(f"{HUB_ORGANISATION}/")


def elasticsearch_model_id(text_model: str) -> str:
    """Return the id under which eland stores a text model in Elasticsearch; a folder's id is made of its name.

    It has at most 64 of a-z, 0-9, `_`, `.` and `-`, with a letter or digit at both ends, as Elasticsearch demands. It
    is empty if the name has none of these characters.
    """
    own_name = model_id_of(text_model)
    hub_name = own_name if _is_folder(text_model) and own_name not in TEXT_MODELS.values() else _hub_name(own_name)
    as_eland = re.sub(r"[\s\\/]", "__", hub_name).lower()[-64:]
    return re.sub(r"[^a-z0-9_.-]", "_", as_eland).strip("_.-")


@dataclass(frozen=True, kw_only=True)
class TextModelFacts:
    """Facts about a text model, read from its files."""

    dims: int
    max_tokens: int  # longer texts are cut


def text_model_facts(name: str) -> TextModelFacts:
    """Load the text model `name` and return the facts about it.

    Raises:
        ModelUnavailableError: it cannot be found or loaded.
    """
    model = _load(name)
    return TextModelFacts(
        dims=model.get_sentence_embedding_dimension() or len(model.encode("a photo")),
        max_tokens=int(model.max_seq_length or model.tokenizer.model_max_length),
    )


def is_for_the_app_only(text_model: str) -> bool:
    """Return whether Elasticsearch cannot run a text model, because it has the layout of M-CLIP; load nothing."""
    return mclip.is_mclip(text_model) if _is_folder(text_model) else text_model.startswith(f"{mclip.MODEL_TYPE}/")


def text_source(text_model: str, *, beside: str) -> str:
    """Return where to load a text model from: its folder, or its name on the hub."""
    name = _beside(text_model, beside)
    return str(Path(name).expanduser()) if _is_folder(name) else _hub_name(name)


def can_be_had(name: str) -> bool:
    """Return whether the model can probably be loaded: from a folder, the cache, or the hub, which is asked."""
    if _is_folder(name):
        return True
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        for file in ("modules.json", "config.json"):
            if isinstance(huggingface_hub.try_to_load_from_cache(_hub_name(name), file), str):
                return True
        huggingface_hub.HfApi().model_info(_hub_name(name), timeout=HUB_TIMEOUT)
    except (OSError, ValueError, HfHubHTTPError, OfflineModeIsEnabled):  # no network, or a name that no hub can have
        return False
    return True


def _is_folder(name: str) -> bool:
    return Path(name).expanduser().is_dir()


def _hub_name(name: str) -> str:
    return name if "/" in name else f"{HUB_ORGANISATION}/{name}"


def _beside(text_model: str, image_model: str) -> str:
    """Return the folder of that name beside the image model's folder if there is one, else the name unchanged."""
    folder = Path(image_model).expanduser().resolve().parent / text_model
    return str(folder) if _is_folder(image_model) and folder.is_dir() else text_model


def _load(name: str) -> SentenceTransformer:
    if ("/" in name or "\\" in name) and Path(name).expanduser().is_absolute() and not _is_folder(name):
        raise ModelUnavailableError(
            f"There is no folder {name} to load a model from. Look at IMAGE_MODEL, TEXT_MODEL or --model."
        )
    if not can_be_had(name):  # fails at once; the libraries below would ask a hub over and over
        raise ModelUnavailableError(
            f"The model '{name}' is no folder, is not in the hub's cache, and the model hub does not have it or cannot "
            "be reached. Give IMAGE_MODEL or TEXT_MODEL a sentence-transformers folder, or connect once."
        )
    from huggingface_hub.errors import HfHubHTTPError  # not above: to import them takes seconds
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    path = str(Path(name).expanduser()) if _is_folder(name) else _hub_name(name)
    try:
        with quiet("transformers", "sentence_transformers"):
            return mclip.load(path) if mclip.is_mclip(path) else SentenceTransformer(path, device=None)
    except (
        OSError,
        EOFError,
        HfHubHTTPError,
        SafetensorError,
        UnpicklingError,
        ValueError,
        KeyError,
        ImportError,
        RuntimeError,
    ) as error:
        raise ModelUnavailableError(
            f"The model '{name}' cannot be loaded ({first_line(error)[:200]}). Give IMAGE_MODEL "
            "or TEXT_MODEL a sentence-transformers folder (TEXT_MODEL takes M-CLIP folders too), connect to the model "
            "hub once, or use IMAGE_MODEL=conse."
        ) from error
