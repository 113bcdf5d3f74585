"""What every encoder offers: embeddings of images and texts in one shared space."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from image_embeddings.documents import Embeddings, ModelInfo
from image_embeddings.errors import ModelUnavailableError
from image_embeddings.photos.decoding import DECODING, DECODINGS

PROBE_DIMS = 16


def _probe_image() -> Image.Image:
    """Return a fixed picture with edges, colours and a gradient, which every part of a model reacts to."""
    ramp = np.add.outer(np.arange(224), 2 * np.arange(224))
    return Image.fromarray(np.stack([ramp % 256, ramp.T % 199, (ramp // 97) * 50 % 256], axis=2).astype(np.uint8))


class Encoder(ABC):
    """Turns images and texts into unit-length float32 embeddings of one joint space.

    A subclass sets `model_id`, `dims` and `preprocessing`, and implements the two `_embed_*` methods. Their rows may
    have any length. Images are upright RGB images of any size. Several threads may use an encoder.
    """

    model_id: str  # names the weights
    dims: int
    preprocessing: str  # name and version of the steps from RGB image to model input

    @abstractmethod
    def _embed_images(self, images: Sequence[Any]) -> Embeddings:
        """Return the raw embeddings of preprocessed images, shape (n, dims); n ≥ 1."""

    @abstractmethod
    def _embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the raw embeddings of texts, shape (n, dims); n ≥ 1."""

    @property
    def calls(self) -> int:
        """The number of calls at a time that is fastest for images; 1 if the model spreads each call over the cores."""
        return 1

    @property
    def precision(self) -> str:
        """The number format in which images are encoded."""
        return "float32"

    def prepare_for(self, images: int) -> str:
        """Get ready to encode this many images; return a line for the user, or an empty text."""
        return ""

    def preprocess(self, image: Image.Image) -> Any:
        """Return the model input for an RGB image, for `encode_preprocessed`; it is small. Any thread may call this."""
        return image

    def encode_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Return the embeddings of `images`, shape (n, dims), float32, unit length, in the same order."""
        return self.encode_preprocessed([self.preprocess(image) for image in images])

    def encode_preprocessed(self, images: Sequence[Any]) -> Embeddings:
        """Return the embeddings of what `preprocess` returned, as `encode_images` does."""
        if not images:
            return np.empty((0, self.dims), np.float32)
        return self._normalized(self._embed_images(images), count=len(images))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the embeddings of `texts`, shape (n, dims), float32, unit length, in the same order."""
        if not texts:
            return np.empty((0, self.dims), np.float32)
        # A broken form may send half a surrogate pair. No tokenizer takes that.
        texts = [text.encode(errors="replace").decode() for text in texts]
        return self._normalized(self._embed_texts(texts), count=len(texts))

    def knows(self, text: str) -> bool:
        """Return whether a text says something to the model. This is true if the model cannot tell.

        Texts of function words and punctuation are left out before.
        """
        return True

    @cached_property
    def info(self) -> ModelInfo:
        """What an index records about the encoder that it is built with."""
        probe = self.encode_images([_probe_image()])[0, :PROBE_DIMS]
        return ModelInfo(
            model_id=self.model_id,
            dims=self.dims,
            preprocessing=self.preprocessing_after(DECODING),
            probe=tuple(round(float(number), 4) for number in probe),
        )

    def preprocessing_after(self, decoding: str) -> str:
        """Return the name of all steps from file to model input; `decoding` counts only if photos can still get it."""
        return f"{decoding if decoding in DECODINGS else DECODING}+{self.preprocessing}"

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
