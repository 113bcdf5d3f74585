"""The data kept for an opened index: its state for a while, its encoder for good, and the texts it has encoded."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from image_embeddings.errors import ModelMismatchError, ModelUnavailableError
from image_embeddings.es.image_index import IndexState
from image_embeddings.search import attempt
from image_embeddings.search.attempt import OpenedIndex, Stopwatch
from tests.fakes import ColourEncoder

STATE = IndexState(backing_index="photos-1", model=ColourEncoder().info)


class Loading:
    """Makes encoders and counts them; fails as long as it is told to."""

    def __init__(self, error=None, encoder=ColourEncoder):
        self.times, self.error, self._encoder = 0, error, encoder

    def __call__(self, model):
        self.times += 1
        if self.error:
            raise self.error
        return self._encoder()


class Recorded:
    """An index with a given state."""

    def __init__(self, state):
        self.said = state

    def state(self):
        return self.said


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when it is told to."""

    class Clock:
        seconds = 1000.0

        def monotonic(self):
            return self.seconds

    clock = Clock()
    monkeypatch.setattr(attempt, "time", clock)
    return clock


def opened(loading):
    return OpenedIndex(STATE, encoder_for=loading, lock=threading.Lock())


def test_the_encoder_is_loaded_at_the_first_use_and_once():
    loading = Loading()
    index, stopwatch = opened(loading), Stopwatch()
    assert loading.times == 0
    index.encode_text("red", stopwatch)
    index.encode_image(Image.new("RGB", (4, 4), "red"), stopwatch)
    assert loading.times == 1
    assert set(stopwatch.took_ms()) == {"load", "encode", "total"}


def test_threads_that_need_it_at_once_load_it_once():
    loading = Loading()
    index = opened(loading)
    threads = [threading.Thread(target=index.encoder, args=[Stopwatch()]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loading.times == 1


def test_a_text_is_encoded_once_and_its_kept_embedding_cannot_be_changed():
    texts = []

    class Counting(ColourEncoder):
        def _embed_texts(self, asked):
            texts.extend(asked)
            return super()._embed_texts(asked)

    index = opened(Loading(encoder=Counting))
    first, again = (index.encode_text("red", Stopwatch()) for _ in range(2))
    assert texts == ["red"]
    np.testing.assert_array_equal(first, again)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_no_more_texts_are_kept_than_fit():
    index = opened(Loading())
    for number in range(attempt.TEXTS_KEPT + 10):
        index.encode_text(f"red {number}", Stopwatch())
    assert index._embedding_of_text.cache_info().currsize == attempt.TEXTS_KEPT


def test_a_model_that_cannot_be_loaded_is_tried_again_after_a_while(clock):
    loading = Loading(ModelUnavailableError("no file"))
    index = opened(loading)
    for _ in range(3):
        with pytest.raises(ModelUnavailableError, match="no file"):
            index.encoder(Stopwatch())
    assert loading.times == 1
    loading.error = None
    clock.seconds += attempt.MISSING_SECONDS
    assert index.encoder(Stopwatch()).model_id == "colour"


def test_an_encoder_of_another_model_is_refused():
    index = opened(Loading(encoder=lambda: ColourEncoder(model_id="other")))
    with pytest.raises(ModelMismatchError, match=r"'colour'.*'other'"):
        index.encoder(Stopwatch())


def test_the_state_is_read_anew_when_it_is_old(clock):
    index, later = opened(Loading()), replace(STATE, corpus="/photos")
    index.renew_state(Recorded(later))
    assert index.state == STATE
    clock.seconds += attempt.STATE_SECONDS + 1
    index.renew_state(Recorded(later))
    assert index.state == later


def test_the_state_of_another_index_is_not_used(clock):
    index, other = opened(Loading()), replace(STATE, backing_index="photos-2")
    clock.seconds += attempt.STATE_SECONDS + 1
    index.renew_state(Recorded(other))
    assert (index.state, index.is_replaced(Recorded(other)), index.is_replaced(Recorded(STATE))) == (STATE, True, False)
