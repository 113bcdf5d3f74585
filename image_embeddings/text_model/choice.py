"""Where the texts of queries are encoded: by the text model inside Elasticsearch, or here by the local encoder."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from image_embeddings.documents import ModelInfo
from image_embeddings.errors import (
    ElasticsearchError,
    MachineLearningMissingError,
    ModelError,
    ModelMismatchError,
    PermissionDeniedError,
    RequestError,
    ServerVersionError,
    SlowError,
    TextModelBusyError,
    TextModelError,
    TextModelInputError,
    TextModelLicenceError,
    TextModelMissingError,
    TextModelPermissionError,
    TextModelSlowError,
    TextModelStoppedError,
)
from image_embeddings.es.connection import Cluster
from image_embeddings.text_model.model import TextModel

AUTO, LOCAL, ELASTICSEARCH = "auto", "local", "elasticsearch"
RECHECK_SECONDS = 60.0
MISSED_SECONDS = 3600.0  # how long a note is shown where machine learning was taken away for good
TEXT_SECONDS = 12.0  # for a text encoded in Elasticsearch, whose own patience with its model is 10
AUTO_SECONDS = 5.0  # the same where the local encoder stands by
REQUESTS = 3  # of a look
# No news to whoever searches, unless Elasticsearch has encoded before.
USUAL = (
    MachineLearningMissingError,
    TextModelLicenceError,
    TextModelPermissionError,
    PermissionDeniedError,
    TextModelMissingError,
)
# Failures of a search that the model's state does not show: "started" is then no reason to try at once.
UNSEEN = (TextModelSlowError, TextModelBusyError, TextModelError, RequestError)
# What a look may end with where searches may still work. If Elasticsearch is gone, they say so themselves.
CANNOT_TELL = (ModelError, PermissionDeniedError, RequestError, SlowError, ServerVersionError)
MEANWHILE = "Meanwhile the app encodes texts itself."
INSTEAD = "Or let the app encode texts itself: TEXT_ENCODER=auto."

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TextPath:
    """Who encodes the texts of queries, and why."""

    encoder: str  # elasticsearch or local
    why: str
    model_id: str | None = None  # of the text model in Elasticsearch, where that encodes
    note: str | None = None  # for whoever searches: what is not as it should be, and what is done instead


@dataclass(frozen=True, kw_only=True)
class _Choice:
    model: ModelInfo
    path: TextPath
    check_at: float | None = None  # when to look again; None: it stands
    failed: Exception | None = None  # what a search failed with, where that is why


class TextPaths:
    """Chooses the path as TEXT_ENCODER (`setting`) says: once, and for `auto` again a while after it could not be had.

    `model_id_for` gives the id of the text model that belongs to an index's image model, None where there is none;
    `is_known` whether an id is known to belong to an image model. May be used from several threads.
    """

    def __init__(
        self,
        setting: str,
        *,
        model_id_for: Callable[[ModelInfo], str | None] = lambda model: None,
        is_known: Callable[[str, ModelInfo], bool] = lambda model_id, model: False,
    ) -> None:
        self.setting = setting
        self.may_stand_in = setting == AUTO  # the app for Elasticsearch
        self.patience_seconds = AUTO_SECONDS if self.may_stand_in else TEXT_SECONDS
        self._model_id_for = model_id_for
        self._is_known = is_known
        self._now = time.monotonic
        self._lock = threading.Lock()
        self._choice: _Choice | None = None
        self._missed: tuple[ModelInfo, float] | None = None  # Elasticsearch encoded for it, and then could not; when

    def choose(self, cluster: Cluster, model: ModelInfo) -> TextPath:
        """The path for an index built with `model`; Elasticsearch is asked at the first time and when a check is due.

        Raises:
            ModelError, RequestError: TEXT_ENCODER=elasticsearch, and the text model there cannot encode; says why.
        """
        choice = self._choice
        usable = choice is not None and choice.model == model
        if choice and usable and not self._due(choice):
            return choice.path
        if not self._lock.acquire(blocking=not usable) and choice:
            return choice.path  # another thread is looking just now
        try:
            newer = self._choice
            if newer and newer is not choice and newer.model == model:
                return newer.path
            return self._look(cluster, model)
        finally:
            self._lock.release()

    def report(self, cluster: Cluster, model: ModelInfo) -> TextPath:
        """The path as Elasticsearch is now; searches take it too, unless they have just seen it fail all the same.

        Raises:
            ModelError, RequestError: as `choose`.
        """
        with self._lock:
            choice = self._choice
            if choice and choice.model == model and type(choice.failed) in UNSEEN and not self._due(choice):
                return choice.path
            return self._look(cluster, model)

    def after_failure(
        self, error: TextModelError | RequestError, *, path: TextPath, cluster: Cluster, model: ModelInfo
    ) -> TextPath:
        """The path for a query that Elasticsearch failed to encode on `path`, and for later ones if need be.

        Raises:
            TextModelError: TEXT_ENCODER=elasticsearch: the failure, in words that fit the model's state by now.
        """
        if isinstance(error, TextModelInputError) and self.may_stand_in:
            return TextPath(encoder=LOCAL, why=str(error), note=f"{error} {MEANWHILE}")
        seen = self._in_its_state(error, cluster=cluster, model_id=path.model_id or "")
        return self._without(seen, model=model, failed=seen)

    def _due(self, choice: _Choice) -> bool:
        return choice.check_at is not None and self._now() >= choice.check_at

    def _look(self, cluster: Cluster, model: ModelInfo) -> TextPath:
        if self.setting == LOCAL:
            return self._chosen(_Choice(model=model, path=TextPath(encoder=LOCAL, why="TEXT_ENCODER=local")))
        model_id = self._model_id_for(model)
        try:
            why = self._check(cluster, model, model_id)
        except CANNOT_TELL as error:
            return self._without(error, model=model)
        if self._missed:
            log.warning("texts are encoded in Elasticsearch again")
        self._missed = None
        return self._chosen(_Choice(model=model, path=TextPath(encoder=ELASTICSEARCH, why=why, model_id=model_id)))

    def _check(self, cluster: Cluster, model: ModelInfo, model_id: str | None) -> str:
        """Returns why the text model can be used."""
        if model_id is None:
            raise ModelMismatchError(
                f"The index was built with '{model.model_id}', for which no text model is known that Elasticsearch "
                "could run."
            )
        try:
            status = TextModel(cluster, model_id).status(seconds=self.patience_seconds / REQUESTS)
        except (TextModelPermissionError, PermissionDeniedError):
            if self.may_stand_in:
                raise
            return f"TEXT_ENCODER=elasticsearch; this user may not ask for the state of '{model_id}'"
        if status.error:
            raise status.error
        status.check_fits(model, known=self._is_known(model_id, model))
        return f"the text model '{model_id}' is started"

    def _without(self, error: Exception, *, model: ModelInfo, failed: Exception | None = None) -> TextPath:
        """The local path in place of Elasticsearch's, if the setting lets it."""
        if not self.may_stand_in:
            self._choice = None
            raise type(error)(f"{error} {INSTEAD}") from error
        if self._choice and self._choice.model == model and self._choice.path.encoder == ELASTICSEARCH:
            self._missed = (model, self._now())
        model_id = self._model_id_for(model)
        note = None
        if self._misses(model, usual=isinstance(error, USUAL)) or (model_id and not isinstance(error, USUAL)):
            note = f"{error} {MEANWHILE}"
            log.warning("texts are encoded locally for now: %s", error)
        lasting = model_id is None or (isinstance(error, MachineLearningMissingError) and not note)
        check_at = None if lasting else self._now() + RECHECK_SECONDS
        path = TextPath(encoder=LOCAL, why=str(error), note=note)
        return self._chosen(_Choice(model=model, path=path, check_at=check_at, failed=failed))

    def _misses(self, model: ModelInfo, *, usual: bool) -> bool:
        """Whether Elasticsearch has encoded before; forgotten after a while where it is not meant to any more."""
        if self._missed is None or self._missed[0] != model:
            return False
        return not (usual and self._now() - self._missed[1] > MISSED_SECONDS)

    def _chosen(self, choice: _Choice) -> TextPath:
        self._choice = choice
        return choice.path

    def _in_its_state(
        self, error: TextModelError | RequestError, *, cluster: Cluster, model_id: str
    ) -> TextModelError | RequestError:
        """The error as the model's state has it, where the search says no more than that no such model is started."""
        if not isinstance(error, TextModelStoppedError | RequestError):
            return error
        try:
            return TextModel(cluster, model_id).status(seconds=self.patience_seconds / REQUESTS).error or error
        except (TextModelError, ElasticsearchError):
            return error
