"""What a search keeps of the index that it has opened: its state, its encoder, and the embeddings of texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache

from PIL import Image

from image_embeddings.documents import Embedding, ModelInfo
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import ModelUnavailableError
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.search.stopwatch import Stopwatch

TEXTS_KEPT = 1_000  # embeddings of texts; 2 kB each at 512 dims
STATE_SECONDS = 30.0  # how old the state may be that a verdict is made from
MISSING_SECONDS = 60.0  # in which a model that could not be had is not asked for again


class OpenedIndex:
    """One index behind the name: its state, and the encoder of its model from the first search that needs it.

    If the index behind the name is replaced, another `OpenedIndex` takes the place of this one. `lock` is held while
    an encoder is loaded, so that they are loaded one at a time. May be used from several threads.
    """

    def __init__(self, state: IndexState, *, encoder_for: Callable[[ModelInfo], Encoder], lock: threading.Lock) -> None:
        self.state = state
        self._state_read_at = time.monotonic()
        self._encoder_for = encoder_for
        self._lock = lock
        self._encoder: Encoder | None = None
        self._missing: tuple[ModelUnavailableError, float] | None = None  # why there is none; until when that counts
        self._embedding_of_text = lru_cache(TEXTS_KEPT)(_encode_text)

    def is_replaced(self, index: ImageIndex) -> bool:
        """Return whether another index stands behind the name now."""
        return index.state().backing_index != self.state.backing_index

    def renew_state(self, index: ImageIndex) -> None:
        """Read the state anew if it is older than STATE_SECONDS: a run may have calibrated the index since."""
        if time.monotonic() - self._state_read_at > STATE_SECONDS:
            state = index.state()
            self._state_read_at = time.monotonic()
            if state.backing_index == self.state.backing_index:
                self.state = state

    def encoder(self, stopwatch: Stopwatch) -> Encoder:
        """Return the encoder of the index's model; load it if this is the first use.

        Raise ModelUnavailableError if it cannot be had, and ModelMismatchError if it is not the model of the index.
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
        """Return the embedding of a text, shape (dims,), read-only; raise as `encoder` does.

        It is kept, because people look at further pages of what they searched for, and search for it again.
        """
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("encode"):
            return self._embedding_of_text(encoder, text)

    def encode_image(self, image: Image.Image, stopwatch: Stopwatch) -> Embedding:
        """Return the embedding of an upright RGB image, shape (dims,); raise as `encoder` does."""
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("encode"):
            embedding: Embedding = encoder.encode_images([image])[0]
        return embedding


def _encode_text(encoder: Encoder, text: str) -> Embedding:
    embedding: Embedding = encoder.encode_texts([text])[0]
    embedding.flags.writeable = False
    return embedding
