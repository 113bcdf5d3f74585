"""The data kept for an opened index: its state for a while, its encoder for good, and the texts it has encoded."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from image_embeddings.calibration.everyday_texts import everyday_texts
from image_embeddings.calibration.likeness import calibrate
from image_embeddings.errors import ModelMismatchError, ModelUnavailableError
from image_embeddings.es.image_index import IndexState
from image_embeddings.search import opened_index
from image_embeddings.search.opened_index import OpenedIndex
from image_embeddings.search.stopwatch import Stopwatch
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
    """An index with a given state, and with embeddings of photos."""

    def __init__(self, state, photos=()):
        self.said, self.noted = state, []
        self.documents = SimpleNamespace(sample=lambda count: np.asarray(photos[:count]))

    def at(self, backing_index):
        assert backing_index == self.said.backing_index
        return self

    def state(self):
        return self.said

    def note_calibration(self, state):
        self.noted.append(state)


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when it is told to."""

    class Clock:
        seconds = 1000.0

        def monotonic(self):
            return self.seconds

    clock = Clock()
    monkeypatch.setattr(opened_index, "time", clock)
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
    for number in range(opened_index.TEXTS_KEPT + 10):
        index.encode_text(f"red {number}", Stopwatch())
    assert index._embedding_of_text.cache_info().currsize == opened_index.TEXTS_KEPT


def test_a_model_that_cannot_be_loaded_is_tried_again_after_a_while(clock):
    loading = Loading(ModelUnavailableError("no file"))
    index = opened(loading)
    for _ in range(3):
        with pytest.raises(ModelUnavailableError, match="no file"):
            index.encoder(Stopwatch())
    assert loading.times == 1
    loading.error = None
    clock.seconds += opened_index.MISSING_SECONDS
    assert index.encoder(Stopwatch()).model_id == "colour"


def test_an_encoder_of_another_model_is_refused():
    index = opened(Loading(encoder=lambda: ColourEncoder(model_id="other")))
    with pytest.raises(ModelMismatchError, match=r"'colour'.*'other'"):
        index.encoder(Stopwatch())


def test_the_state_is_read_anew_when_it_is_old(clock):
    index, later = opened(Loading()), replace(STATE, corpus="/photos")
    index.renew_state(Recorded(later))
    assert index.state == STATE
    clock.seconds += opened_index.STATE_SECONDS + 1
    index.renew_state(Recorded(later))
    assert index.state == later


def test_the_state_of_another_index_is_not_used(clock):
    index, other = opened(Loading()), replace(STATE, backing_index="photos-2")
    clock.seconds += opened_index.STATE_SECONDS + 1
    index.renew_state(Recorded(other))
    assert (index.state, index.is_replaced(Recorded(other)), index.is_replaced(Recorded(STATE))) == (STATE, True, False)


def random_photos(count=100):
    photos = np.random.default_rng(7).normal(size=(count, ColourEncoder.dims))
    return (photos / np.linalg.norm(photos, axis=1, keepdims=True)).astype(np.float32)


class CountingTexts(ColourEncoder):
    """Counts the texts that it encodes; fails as long as it is told to."""

    encoded, error = 0, None

    def _embed_texts(self, texts):
        if CountingTexts.error:
            raise CountingTexts.error
        CountingTexts.encoded += len(texts)
        return np.random.default_rng(len(texts)).normal(size=(len(texts), self.dims))


@pytest.fixture
def calibrated(monkeypatch):
    """An opened index that is calibrated for photos only, and the index itself."""
    monkeypatch.setattr(CountingTexts, "encoded", 0)
    monkeypatch.setattr(CountingTexts, "error", None)
    photos = random_photos()
    state = replace(STATE, calibration=calibrate(photos, photos=100))
    index = OpenedIndex(state, encoder_for=lambda model: CountingTexts(), lock=threading.Lock())
    return index, Recorded(state, photos)


def test_the_first_search_by_text_measures_what_is_usual_for_texts_and_lets_the_index_keep_it(calibrated):
    index, recorded = calibrated
    photo = index.state.calibration.photo
    threads = [threading.Thread(target=index.calibrate_texts, args=[recorded, Stopwatch()]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert CountingTexts.encoded == len(everyday_texts())
    assert index.state.calibration.photo is photo
    texts = CountingTexts().encode_texts(everyday_texts())
    expected = calibrate(random_photos(), texts, photos=100).text
    assert index.state.calibration.text.spread == expected.spread
    assert [state.calibration.text.spread for state in recorded.noted] == [expected.spread]


def test_what_is_usual_for_texts_stays_if_the_index_cannot_keep_it(clock, calibrated):
    index, recorded = calibrated
    index.calibrate_texts(recorded, Stopwatch())
    known = index.state.calibration
    clock.seconds += opened_index.STATE_SECONDS + 1
    index.renew_state(Recorded(recorded.said))
    assert index.state.calibration is known


def test_texts_are_not_encoded_again_if_a_run_has_calibrated_the_photos_anew(clock, calibrated):
    index, recorded = calibrated
    index.calibrate_texts(recorded, Stopwatch())
    other = random_photos(200)
    newer = replace(recorded.said, calibration=calibrate(other, photos=200))
    clock.seconds += opened_index.MISSING_SECONDS + 1
    index.renew_state(Recorded(newer))
    assert index.state.calibration.text is None
    index.calibrate_texts(Recorded(newer, other), Stopwatch())
    assert index.state.calibration.text is not None
    assert CountingTexts.encoded == len(everyday_texts())


def test_texts_that_cannot_be_encoded_are_tried_again_later(clock, calibrated):
    index, recorded = calibrated
    CountingTexts.error = ModelUnavailableError("no files")
    index.calibrate_texts(recorded, Stopwatch())
    CountingTexts.error = None
    index.calibrate_texts(recorded, Stopwatch())
    assert index.state.calibration.text is None
    clock.seconds += opened_index.MISSING_SECONDS
    index.calibrate_texts(recorded, Stopwatch())
    assert index.state.calibration.text is not None
