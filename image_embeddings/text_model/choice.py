"""The choice of who encodes the texts of queries: the text model inside Elasticsearch, or the local encoder."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from image_embeddings.documents import ModelInfo
from image_embeddings.errors import (
    ElasticsearchError,
    MachineLearningMissingError,
    ModelError,
    ModelMismatchError,
    ModelUnavailableError,
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
MISSED_SECONDS = 3600.0  # how long a note is shown if machine learning was taken away for good
TEXT_SECONDS = 12.0  # for a text encoded in Elasticsearch, which itself waits 10 for its model
AUTO_SECONDS = 5.0  # the same, if the local encoder can take over
REQUESTS = 3  # of one check
# Users who search are not told of these, unless Elasticsearch has encoded before.
USUAL = (
    MachineLearningMissingError,
    TextModelLicenceError,
    TextModelPermissionError,
    PermissionDeniedError,
    TextModelMissingError,
)
# Failures of a search that the model's state does not show. Then the state "started" is no reason to try at once.
UNSEEN = (TextModelSlowError, TextModelBusyError, TextModelError, RequestError)
# Errors of a check after which searches may still work. If Elasticsearch is gone, searches say so themselves.
CANNOT_TELL = (ModelError, PermissionDeniedError, RequestError, SlowError, ServerVersionError)
MEANWHILE = "Meanwhile the app encodes texts itself."
INSTEAD = "Or let the app encode texts itself: TEXT_ENCODER=auto."

Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TextPath:
    """Who encodes the texts of queries, and why."""

    encoder: str  # elasticsearch or local
    why: str
    model_id: str | None = None  # of the text model in Elasticsearch, if that encodes
    note: str | None = None  # for the user who searches: what is wrong, and what is done instead


@dataclass(frozen=True, kw_only=True)
class _Choice:
    model: ModelInfo
    path: TextPath
    check_at: float | None = None  # when to check again; None if the choice stays
    failed: Exception | None = None  # the error of a search, if that is the reason for the choice


class TextPaths:
    """Chooses the path that TEXT_ENCODER (`setting`) asks for.

    The choice is made once. With `auto` it is made again some time after Elasticsearch could not encode. `model_id_for`
    returns the id of the text model that belongs to an index's image model, or None if there is none. `is_known`
    returns whether an id is known to belong to an image model. Several threads may use one object.
    """

    def __init__(
        self,
        setting: str,
        *,
        model_id_for: Callable[[ModelInfo], str | None] = lambda model: None,
        is_known: Callable[[str, ModelInfo], bool] = lambda model_id, model: False,
    ) -> None:
        self.setting = setting
        self.may_stand_in = setting == AUTO  # whether the app encodes if Elasticsearch cannot
        self.patience_seconds = AUTO_SECONDS if self.may_stand_in else TEXT_SECONDS
        self._model_id_for = model_id_for
        self._is_known = is_known
        self._now = time.monotonic
        self._lock = threading.Lock()
        self._choice: _Choice | None = None
        self._missed: tuple[ModelInfo, float] | None = None  # the model, and when that encoder was lost

    def choose(self, cluster: Cluster, model: ModelInfo) -> TextPath:
        """Return the path for an index built with `model`; ask Elasticsearch the first time and when a check is due.

        Raises:
            ModelError, RequestError: TEXT_ENCODER=elasticsearch, and the text model there cannot encode.
        """
        choice = self._choice
        usable = choice is not None and choice.model == model
        if choice and usable and not self._due(choice):
            return choice.path
        if not self._lock.acquire(blocking=not usable) and choice:
            return choice.path  # another thread is checking now
        try:
            newer = self._choice
            if newer and newer is not choice and newer.model == model:
                return newer.path
            return self._look(cluster, model)
        finally:
            self._lock.release()

    def encode(
        self, cluster: Cluster, model: ModelInfo, *, there: Callable[[str], Result], here: Callable[[], Result]
    ) -> tuple[Result, TextPath]:
        """Return the result of `there` or `here`, and who encoded the text.

        `there` lets Elasticsearch encode the text. It gets the id of the text model. `here` uses the local encoder. It
        is called if the local encoder is chosen, and with TEXT_ENCODER=auto also if `there` fails because of the text
        model. If Elasticsearch refuses the request for an unknown reason, that reason may be the index. The text model
        counts as failed only if `here` then succeeds.

        Raises:
            ModelError: if nobody can encode the text.
        """
        path = self.choose(cluster, model)
        refusal: RequestError | None = None
        if path.model_id:
            try:
                return there(path.model_id), path
            except TextModelError as error:
                path = self.after_failure(error, path=path, cluster=cluster, model=model)
            except RequestError as error:
                if not self.may_stand_in:
                    raise
                refusal = error
        try:
            result = here()
        except ModelUnavailableError as missing:
            if not (path.note or refusal):
                raise
            raise ModelUnavailableError(
                f"{refusal or path.why} Nor has the app a model of its own to stand in: {missing}"
            ) from missing
        if refusal:
            path = self.after_failure(refusal, path=path, cluster=cluster, model=model)
        return result, path

    def report(self, cluster: Cluster, model: ModelInfo) -> TextPath:
        """Return the path as Elasticsearch is now; searches use it too, unless they have just seen it fail.

        Raises:
            ModelError, RequestError: as for `choose`.
        """
        with self._lock:
            choice = self._choice
            if choice and choice.model == model and type(choice.failed) in UNSEEN and not self._due(choice):
                return choice.path
            return self._look(cluster, model)

    def after_failure(
        self, error: TextModelError | RequestError, *, path: TextPath, cluster: Cluster, model: ModelInfo
    ) -> TextPath:
        """Return the path for a query that Elasticsearch failed to encode on `path`; later queries use it if necessary.

        Raises:
            TextModelError: TEXT_ENCODER=elasticsearch; the error describes the state that the model has by now.
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
        """Return why the text model can be used."""
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
        """Return the local path in place of Elasticsearch's; raise `error` if the setting does not allow that."""
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
        """Return whether Elasticsearch has encoded before; forget it after a while if it is not meant to encode."""
        if self._missed is None or self._missed[0] != model:
            return False
        return not (usual and self._now() - self._missed[1] > MISSED_SECONDS)

    def _chosen(self, choice: _Choice) -> TextPath:
        self._choice = choice
        return choice.path

    def _in_its_state(
        self, error: TextModelError | RequestError, *, cluster: Cluster, model_id: str
    ) -> TextModelError | RequestError:
        """Return a more exact error from the model's state, if the search only says that no such model is started."""
        if not isinstance(error, TextModelStoppedError | RequestError):
            return error
        try:
            return TextModel(cluster, model_id).status(seconds=self.patience_seconds / REQUESTS).error or error
        except (TextModelError, ElasticsearchError):
            return error
