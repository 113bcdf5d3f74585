"""What every encoder offers: embeddings of images and texts in one shared space."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from image_embeddings.documents import Embeddings, ModelInfo
from image_embeddings.errors import ModelUnavailableError
from image_embeddings.photos.decoding import DECODING

PROBE_DIMS = 16


def _probe_image() -> Image.Image:
    """A fixed picture with edges, colours and a gradient, so that every part of a model has a say."""
    ramp = np.add.outer(np.arange(224), 2 * np.arange(224))
    return Image.fromarray(np.stack([ramp % 256, ramp.T % 199, (ramp // 97) * 50 % 256], axis=2).astype(np.uint8))


class Encoder(ABC):
    """Turns images and texts into unit-length float32 embeddings of one joint space.

    Implementations give `model_id`, `dims` and `preprocessing`, and the two `_embed_*` methods, whose rows need not be
    normalised. Images come in as upright RGB images of any size. Encoders may be used from several threads.
    """

    model_id: str  # names the weights
    dims: int
    preprocessing: str  # name and version of the steps from RGB image to model input

    @abstractmethod
    def _embed_images(self, images: Sequence[Any]) -> Embeddings:
        """Raw embeddings of what `preprocess` made of images, shape (n, dims); n ≥ 1."""

    @abstractmethod
    def _embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Raw embeddings of texts, shape (n, dims); n ≥ 1."""

    @property
    def calls(self) -> int:
        """How many calls at a time encode images fastest: 1 where the model spreads each over the cores itself."""
        return 1

    @property
    def precision(self) -> str:
        """The number format in which images are encoded."""
        return "float32"

    def prepare_for(self, images: int) -> str:
        """Gets ready to encode so many images; a line for the user, if there is something to say."""
        return ""

    def preprocess(self, image: Image.Image) -> Any:
        """What the model looks at of an RGB image, for `encode_preprocessed`: small, and made by any thread."""
        return image

    def encode_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Embeddings of `images`, shape (n, dims), float32, unit length, in the same order."""
        return self.encode_preprocessed([self.preprocess(image) for image in images])

    def encode_preprocessed(self, images: Sequence[Any]) -> Embeddings:
        """Embeddings of what `preprocess` made of images, as by `encode_images`."""
        if not images:
            return np.empty((0, self.dims), np.float32)
        return self._normalized(self._embed_images(images), count=len(images))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings of `texts`, shape (n, dims), float32, unit length, in the same order."""
        if not texts:
            return np.empty((0, self.dims), np.float32)
        # Half a surrogate pair, as a broken form may send it, is nothing that a tokenizer takes.
        texts = [text.encode(errors="replace").decode() for text in texts]
        return self._normalized(self._embed_texts(texts), count=len(texts))

    @cached_property
    def info(self) -> ModelInfo:
        """What an index built with this encoder records of it."""
        probe = self.encode_images([_probe_image()])[0, :PROBE_DIMS]
        return ModelInfo(
            model_id=self.model_id,
            dims=self.dims,
            preprocessing=f"{DECODING}+{self.preprocessing}",
            probe=tuple(round(float(number), 4) for number in probe),
        )

    def _normalized(self, embeddings: Embeddings, *, count: int) -> Embeddings:
        embeddings = np.asarray(embeddings, np.float32)
        if embeddings.shape != (count, self.dims):
            raise ModelUnavailableError(
                f"Model {self.model_id} gave an array of shape {embeddings.shape}, not {(count, self.dims)}: "
                "its image and text halves do not belong together, or its files are damaged."
            )
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise ModelUnavailableError(
                f"Model {self.model_id} gave an embedding without a direction (zero or not a number): "
                "its files are damaged. Fetch them again."
            )
        return np.asarray(embeddings / norms, np.float32)
