"""Where the texts of queries are encoded: by the text model inside Elasticsearch, or here by the local encoder."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from image_embeddings.cluster import Cluster
from image_embeddings.documents import ModelInfo
from image_embeddings.errors import (
    MachineLearningMissingError,
    ModelError,
    ModelMismatchError,
    PermissionDeniedError,
    RequestError,
    TextModelError,
    TextModelInputError,
    TextModelLicenceError,
    TextModelMissingError,
    TextModelPermissionError,
    TextModelStoppedError,
)
from image_embeddings.text_model import TextModel

AUTO, LOCAL, ELASTICSEARCH = "auto", "local", "elasticsearch"
RECHECK_SECONDS = 60.0
TEXT_SECONDS = 12.0  # for a text encoded in Elasticsearch, whose own patience with its model is 10
AUTO_SECONDS = 5.0  # the same where the local encoder stands by
# No news to whoever searches, unless Elasticsearch has encoded before.
USUAL = (
    MachineLearningMissingError,
    TextModelLicenceError,
    TextModelPermissionError,
    PermissionDeniedError,
    TextModelMissingError,
)
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
    check_at: float | None  # when to look again; None: it stands


class TextPaths:
    """Chooses the path as TEXT_ENCODER (`setting`) says: once, and for `auto` again a while after it could not be had.

    `model_id_for` gives the id of the text model that belongs to an index's image model, None where there is none.
    May be used from several threads.
    """

    def __init__(
        self,
        setting: str,
        *,
        model_id_for: Callable[[ModelInfo], str | None] = lambda model: None,
        recheck_seconds: float = RECHECK_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.setting = setting
        self.patience_seconds = AUTO_SECONDS if setting == AUTO else TEXT_SECONDS  # for a search that is to encode too
        self._model_id_for = model_id_for
        self._recheck_seconds = recheck_seconds
        self._now = now
        self._lock = threading.Lock()
        self._choice: _Choice | None = None
        self._missed_for: ModelInfo | None = None  # Elasticsearch has encoded for it before, and then could not

    def choose(self, cluster: Cluster, model: ModelInfo) -> TextPath:
        """The path for an index built with `model`; Elasticsearch is asked at the first time and when a check is due.

        Raises:
            ModelError: TEXT_ENCODER=elasticsearch, and the text model there cannot encode; says why.
        """
        choice = self._choice
        usable = choice is not None and choice.model == model
        if choice and usable and (choice.check_at is None or self._now() < choice.check_at):
            return choice.path
        if not self._lock.acquire(blocking=not usable) and choice:
            return choice.path  # another thread is looking just now
        try:
            newer = self._choice
            if newer and newer is not choice and newer.model == model:
                return newer.path
            return self.look(cluster, model)
        finally:
            self._lock.release()

    def look(self, cluster: Cluster, model: ModelInfo) -> TextPath:
        """The path as Elasticsearch is now, which is the choice from now on.

        Raises:
            ModelError: as `choose`.
        """
        if self.setting == LOCAL:
            return self._chosen(model, TextPath(encoder=LOCAL, why="TEXT_ENCODER=local"))
        try:
            model_id = self._usable_model(cluster, model)
        except (ModelError, PermissionDeniedError, RequestError) as error:
            return self._without(error, model=model)
        if self._missed_for:
            log.warning("texts are encoded in Elasticsearch again")
        self._missed_for = None
        why = f"the text model '{model_id}' is started"
        return self._chosen(model, TextPath(encoder=ELASTICSEARCH, why=why, model_id=model_id))

    def after_failure(self, error: TextModelError, *, path: TextPath, cluster: Cluster, model: ModelInfo) -> TextPath:
        """The path for a query that Elasticsearch failed to encode on `path`, and for later ones if need be.

        Raises:
            TextModelError: TEXT_ENCODER=elasticsearch: the failure, in words that fit the model's state by now.
        """
        if isinstance(error, TextModelInputError) and self.setting == AUTO:
            return TextPath(encoder=LOCAL, why=str(error), note=f"{error} {MEANWHILE}")
        self._missed_for = model
        return self._without(_in_its_state(error, cluster=cluster, model_id=path.model_id or ""), model=model)

    def _usable_model(self, cluster: Cluster, model: ModelInfo) -> str:
        model_id = self._model_id_for(model)
        if model_id is None:
            raise ModelMismatchError(
                f"The index was built with '{model.model_id}', for which no text model is made that Elasticsearch "
                "could run. Name one by ES_TEXT_MODEL_ID if there is."
            )
        status = TextModel(cluster, model_id).status()
        if status.error:
            raise status.error
        status.check_fits(model)
        return model_id

    def _without(self, error: ModelError | PermissionDeniedError | RequestError, *, model: ModelInfo) -> TextPath:
        """The local path in place of Elasticsearch's, if the setting lets it."""
        if self.setting == ELASTICSEARCH:
            self._choice = None
            raise type(error)(f"{error} {INSTEAD}") from error
        model_id = self._model_id_for(model)
        missed = self._missed_for == model
        note = None
        if missed or (model_id and not isinstance(error, USUAL)):
            note = f"{error} {MEANWHILE}"
            log.warning("texts are encoded locally for now: %s", error)
        lasting = model_id is None or (isinstance(error, MachineLearningMissingError) and not missed)
        return self._chosen(model, TextPath(encoder=LOCAL, why=str(error), note=note), check_again=not lasting)

    def _chosen(self, model: ModelInfo, path: TextPath, *, check_again: bool = False) -> TextPath:
        check_at = self._now() + self._recheck_seconds if check_again else None
        self._choice = _Choice(model=model, path=path, check_at=check_at)
        return path


def _in_its_state(error: TextModelError, *, cluster: Cluster, model_id: str) -> TextModelError:
    """The error as the model's state has it, where the search says no more than that no such model is started."""
    if type(error) not in (TextModelError, TextModelStoppedError):
        return error
    try:
        return TextModel(cluster, model_id).status().error or error
    except (PermissionDeniedError, RequestError, TextModelError):
        return error
