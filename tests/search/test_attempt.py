"""The choice of who encodes a text, and the consequences of a failure; with stand-ins for Elasticsearch.

The real failures of a text model are in tests/server/test_text_model_choice.py.
"""

import threading
from types import SimpleNamespace

import pytest

from image_embeddings.errors import ModelUnavailableError, RequestError, TextModelFailedError
from image_embeddings.es.image_index import IndexState
from image_embeddings.es.nearest import RawResult
from image_embeddings.es.queries import SearchOptions
from image_embeddings.search.attempt import Attempt
from image_embeddings.search.opened_index import OpenedIndex
from image_embeddings.search.stopwatch import Stopwatch
from image_embeddings.text_model.choice import AUTO, ELASTICSEARCH, LOCAL, TextPath, TextPaths
from tests.fakes import ColourEncoder

INSIDE = RawResult(hits=(), total=1, matching=1, backing_index=None)
HERE = RawResult(hits=(), total=2, matching=2, backing_index=None)


class Paths(TextPaths):
    """Chooses Elasticsearch, and records the errors with which it failed."""

    def __init__(self, *, may_stand_in=True):
        super().__init__(AUTO if may_stand_in else ELASTICSEARCH)
        self.failures = []

    def choose(self, cluster, model):
        return TextPath(encoder=ELASTICSEARCH, why="it is started", model_id="m")

    def after_failure(self, error, *, path, cluster, model):
        self.failures.append(error)
        if not self.may_stand_in:
            raise error
        return TextPath(encoder=LOCAL, why=str(error), note=f"note: {error}")


class Searches:
    """The searches of an index, each of which may fail."""

    def __init__(self, *, to_text=None, to_embedding=None):
        self._errors = {"to_text": to_text, "to_embedding": to_embedding}

    def to_text(self, text, **options):
        return self._answer("to_text", INSIDE)

    def to_embedding(self, embedding, **options):
        return self._answer("to_embedding", HERE)

    def _answer(self, name, result):
        if self._errors[name]:
            raise self._errors[name]
        return result


class Refusing:
    """A cluster that refuses to encode a text, for an unknown reason."""

    client = SimpleNamespace(options=lambda **options: SimpleNamespace(ml=None))

    def errors(self, **needs):
        raise RequestError("refused", status=500, reason="strange")


def no_encoder(model):
    raise ModelUnavailableError("no file")


def attempt(paths, searches=None, *, encoder_for=lambda model: ColourEncoder()):
    state = IndexState(backing_index="photos-1", model=ColourEncoder().info)
    return Attempt(
        index=SimpleNamespace(cluster=Refusing(), nearest=searches),
        opened=OpenedIndex(state, encoder_for=encoder_for, lock=threading.Lock()),
        text_paths=paths,
        stopwatch=Stopwatch(),
        k=10,
        offset=0,
        options=SearchOptions(),
    )


def test_elasticsearch_encodes_and_searches_at_once():
    neighbours = attempt(Paths(), Searches(), encoder_for=no_encoder).near_text("red")
    assert (neighbours.raw, neighbours.path.encoder, neighbours.targets) == (INSIDE, ELASTICSEARCH, [])


@pytest.mark.parametrize("error", [TextModelFailedError("failed"), RequestError("refused", status=400)])
def test_the_app_encodes_with_a_note_if_elasticsearch_cannot(error):
    paths = Paths()
    neighbours = attempt(paths, Searches(to_text=error)).near_text("red")
    assert (neighbours.raw, neighbours.path.encoder, paths.failures) == (HERE, LOCAL, [error])


def test_a_refusal_of_the_index_is_not_blamed_on_the_text_model():
    paths, error = Paths(), RequestError("the index is closed", status=400)
    with pytest.raises(RequestError, match="closed"):
        attempt(paths, Searches(to_text=error, to_embedding=error)).near_text("red")
    assert paths.failures == []


@pytest.mark.parametrize("error", [TextModelFailedError("failed"), RequestError("refused", status=400)])
def test_without_a_local_model_the_error_has_both_reasons(error):
    with pytest.raises(ModelUnavailableError, match=f"{error} Nor has the app a model of its own .*: no file"):
        attempt(Paths(), Searches(to_text=error), encoder_for=no_encoder).near_text("red")


@pytest.mark.parametrize("error", [TextModelFailedError("failed"), RequestError("refused", status=400)])
def test_the_failure_is_raised_if_the_app_may_not_encode(error):
    with pytest.raises(type(error)):
        attempt(Paths(may_stand_in=False), Searches(to_text=error)).near_text("red")


def test_the_embedding_alone_falls_back_in_the_same_way():
    paths = Paths()
    embedding, path = attempt(paths).encode_text("red")
    assert (embedding.shape, path.encoder, len(paths.failures)) == ((4,), LOCAL, 1)
    with pytest.raises(RequestError, match="refused"):
        attempt(Paths(may_stand_in=False)).encode_text("red")
