"""What a search keeps of the index that it has opened: the state, the encoder, and embeddings of texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image

from image_embeddings.documents import Embedding, ModelInfo
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import ModelUnavailableError
from image_embeddings.es.image_index import ImageIndex, IndexState

if TYPE_CHECKING:
    from image_embeddings.search.attempt import Stopwatch

TEXTS_KEPT = 1_000  # number of embeddings of texts that are kept; 2 kB each at 512 dims
STATE_SECONDS = 30.0  # greatest age of the state that a verdict may use
MISSING_SECONDS = 60.0  # time after which a model that was not available is looked for again


class OpenedIndex:
    """One index behind the name: its state, and the encoder of its model, which the first search that needs it loads.

    If the index behind the name is replaced, another `OpenedIndex` replaces this one. `lock` is held while an encoder
    is loaded, so that only one is loaded at a time. Several threads may use the object at the same time.
    """

    def __init__(self, state: IndexState, *, encoder_for: Callable[[ModelInfo], Encoder], lock: threading.Lock) -> None:
        self.state = state
        self._state_read_at = time.monotonic()
        self._encoder_for = encoder_for
        self._lock = lock
        self._encoder: Encoder | None = None
        self._missing: tuple[ModelUnavailableError, float] | None = None  # why there is none, and until when
        self._embedding_of_text = lru_cache(TEXTS_KEPT)(_encode_text)

    def is_replaced(self, index: ImageIndex) -> bool:
        """Return whether there is another index behind the name now."""
        return index.state().backing_index != self.state.backing_index

    def renew_state(self, index: ImageIndex) -> None:
        """Read the state anew if it is older than STATE_SECONDS. A run may have calibrated the index since."""
        if time.monotonic() - self._state_read_at > STATE_SECONDS:
            state = index.state()
            self._state_read_at = time.monotonic()
            if state.backing_index == self.state.backing_index:
                self.state = state

    def encoder(self, stopwatch: Stopwatch) -> Encoder:
        """Return the encoder of the index's model. Load it at the first use.

        Raise ModelUnavailableError if it is not available, and ModelMismatchError if it is not the model of the index.
        """
        if self._encoder is None:
            with self._lock, stopwatch.stage("load"):
                if self._encoder is None:
                    self._encoder = self._load_encoder()
        return self._encoder

    def _load_encoder(self) -> Encoder:
        if self._missing and time.monotonic() < self._missing[1]:
            raise self._missing[0]
        try:
            encoder = self._encoder_for(self.state.model)
            check_same_model(encoder, self.state.model)
        except ModelUnavailableError as error:
            self._missing = error, time.monotonic() + MISSING_SECONDS
            raise
        return encoder

    def encode_text(self, text: str, stopwatch: Stopwatch) -> Embedding:
        """Return the embedding of a text, shape (dims,), read-only. Raise errors as `encoder` does.

        It is kept, because people look at further pages of a search, and search for the same text again.
        """
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("encode"):
            return self._embedding_of_text(encoder, text)

    def encode_image(self, image: Image.Image, stopwatch: Stopwatch) -> Embedding:
        """Return the embedding of an upright RGB image, shape (dims,). Raise errors as `encoder` does."""
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("encode"):
            embedding: Embedding = encoder.encode_images([image])[0]
        return embedding


def _encode_text(encoder: Encoder, text: str) -> Embedding:
    embedding: Embedding = encoder.encode_texts([text])[0]
    embedding.flags.writeable = False
    return embedding
