"""One index behind the name that is searched: its state, its encoder, and what it keeps between searches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from PIL import Image

from image_embeddings.calibration.everyday_texts import everyday_texts
from image_embeddings.calibration.likeness import COHORT, Calibration
from image_embeddings.documents import Embedding, Embeddings, ModelInfo
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import BlockedError, ElasticsearchError, ModelError, ModelUnavailableError
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.search.stopwatch import Stopwatch
from image_embeddings.words.terms import meaning_of

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
        self._calibrating = threading.Lock()
        self._look_for_texts_at = float("-inf")
        self._everyday_texts: Embeddings | None = None
        self._missing: tuple[ModelUnavailableError, float] | None = None  # why there is none, and until when
        self._embedding_of_text = lru_cache(TEXTS_KEPT)(_encode_text)
        self._knows_meaning = lru_cache(TEXTS_KEPT)(_knows_meaning)

    def is_replaced(self, index: ImageIndex) -> bool:
        """Return whether there is another index behind the name now."""
        return index.state().backing_index != self.state.backing_index

    def renew_state(self, index: ImageIndex) -> None:
        """Read the state anew if it is older than STATE_SECONDS. A run may have calibrated the index since."""
        if time.monotonic() - self._state_read_at > STATE_SECONDS:
            with suppress(BlockedError):  # the photos may be searched even if what the index says of itself is blocked
                state = index.state()
                if state.backing_index == self.state.backing_index:
                    self.state = replace(state, calibration=self._complete(state.calibration))
            self._state_read_at = time.monotonic()

    def _complete(self, calibration: Calibration | None) -> Calibration | None:
        """Return the calibration that was read anew, with what is known here of texts if the index does not keep it."""
        known = self.state.calibration
        if calibration and known and calibration.text is None and calibration.is_of_same_photos(known):
            return known
        return calibration

    def calibrate_texts(self, index: ImageIndex, stopwatch: Stopwatch) -> None:
        """Measure what is usual for texts in this index if nobody has done so, and let the index keep it for others.

        The everyday texts take seconds to encode. They are kept for the next time. If they cannot be encoded, or if the
        photos cannot be read, nothing changes, and another search tries again after MISSING_SECONDS.
        """
        if self._lacks_texts():
            with self._calibrating:
                if self._lacks_texts():
                    self._look_for_texts_at = time.monotonic() + MISSING_SECONDS
                    with suppress(ModelError, ElasticsearchError):
                        self._complete_calibration(index.at(self.state.backing_index), stopwatch)

    def _lacks_texts(self) -> bool:
        calibration = self.state.calibration
        return calibration is not None and calibration.text is None and time.monotonic() >= self._look_for_texts_at

    def _complete_calibration(self, index: ImageIndex, stopwatch: Stopwatch) -> None:
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("load"):
            if self._everyday_texts is None:
                self._everyday_texts = encoder.encode_texts(everyday_texts())
            if calibration := self.state.calibration:
                calibration = calibration.with_texts(self._everyday_texts, index.documents.sample(COHORT))
                self.state = replace(self.state, calibration=calibration)
                index.note_calibration(self.state)

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

    def knows(self, text: str, stopwatch: Stopwatch) -> bool:
        """Return whether a text says something that the model knows. Raise errors as `encoder` does."""
        meaning = meaning_of(text)
        if not meaning:
            return False
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("encode"):
            return self._knows_meaning(encoder, meaning)

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


def _knows_meaning(encoder: Encoder, meaning: str) -> bool:
    return encoder.knows(meaning)
