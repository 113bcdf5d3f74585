"""The trained models that tests.ml_front stores, starts and runs, by the rules of Elasticsearch's server."""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.ml_front import errors
from tests.waiting import LONG

if TYPE_CHECKING:
    from tests.ml_front.inference import TextEmbedder

Json = dict[str, Any]

MAX_PARTS = 10_000
_VALID_ID = re.compile(r"[a-z0-9](?:[a-z0-9_\-.]*[a-z0-9])?")


@dataclass
class Deployment:
    """A model that is loaded into memory, or is being loaded."""

    required_bytes: int
    loading: threading.Thread | None = None
    state: str = "starting"
    failure: str = ""
    embedder: TextEmbedder | None = None
    started_at: float = field(default_factory=time.time)
    inferences: int = 0


@dataclass
class StoredModel:
    """A model as far as it was uploaded; its parts are files in `folder`."""

    model_id: str
    config: Json
    folder: Path
    created_at: float = field(default_factory=time.time)
    parts: dict[int, int] = field(default_factory=dict)  # number -> bytes
    total_parts: int = 0
    total_bytes: int = 0
    vocabulary: list[str] = field(default_factory=list)
    deployment: Deployment | None = None

    @property
    def fully_defined(self) -> bool:
        return bool(self.parts) and len(self.parts) == self.total_parts and sum(self.parts.values()) == self.total_bytes

    @property
    def file(self) -> Path:
        """The whole TorchScript, joined from its parts when it is first needed."""
        whole = self.folder / "model.pt"
        if not whole.exists():
            with whole.open("wb") as joined:
                for number in sorted(self.parts):
                    joined.write(self.part_file(number).read_bytes())
                    self.part_file(number).unlink()  # half a gigabyte is not stored twice
        return whole

    @property
    def required_bytes(self) -> int:
        """The memory that the server expects for one allocation."""
        metadata = self.config.get("metadata", {})
        sizes = metadata.get("per_deployment_memory_bytes", 0) + metadata.get("per_allocation_memory_bytes", 0)
        return int(max(240 * 2**20 + 2 * self.total_bytes, sizes + self.total_bytes))

    @property
    def tokenization(self) -> tuple[str, Json]:
        """The tokeniser's kind and its settings."""
        (kind, settings), *_ = self.config["inference_config"]["text_embedding"]["tokenization"].items()
        return kind, settings

    def part_file(self, number: int) -> Path:
        return self.folder / f"part-{number:05}"


class TrainedModels:
    """All models of a front, in `folder`; together they may need `memory` bytes."""

    def __init__(self, folder: Path, faults: errors.Faults, *, memory: int) -> None:
        self.folder, self.faults, self.memory = folder, faults, memory
        self._models: dict[str, StoredModel] = {}

    def __getitem__(self, model_id: str) -> StoredModel:
        """Return the model; raise the ServerError of _infer and of uploads if it is not there."""
        if model_id not in self._models:
            raise errors.no_model(model_id)
        return self._models[model_id]

    def __iter__(self) -> Iterator[StoredModel]:
        return iter(list(self._models.values()))

    def matching(self, pattern: str) -> list[StoredModel]:
        """Return the models; raise the ServerError of GET and _stats if an id without a wildcard is not there."""
        found = [model for model in self if any(fnmatchcase(model.model_id, each) for each in pattern.split(","))]
        if not found and "*" not in pattern:
            raise errors.no_config(pattern)
        return found

    # --- Upload -------------------------------------------------------------------------------------------------------

    def create(self, model_id: str, config: Json) -> StoredModel:
        if not _VALID_ID.fullmatch(model_id) or len(model_id) > 64:
            characters = "can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores"
            raise errors.invalid(f"Invalid model_id; '{model_id}' {characters}; must start and end with alphanumeric")
        if model_id in self._models:
            raise errors.model_exists(model_id)
        if config.get("model_type") != "pytorch" or "text_embedding" not in config.get("inference_config", {}):
            raise errors.not_understood("this stand-in knows only PyTorch models for text_embedding")
        model = StoredModel(model_id, config, self.folder / model_id)
        if model.tokenization[0] != "bert":
            raise errors.not_understood(f"this stand-in knows only bert tokenization, not {model.tokenization[0]}")
        shutil.rmtree(model.folder, ignore_errors=True)
        model.folder.mkdir(parents=True)
        self._models[model_id] = model
        return model

    def put_part(self, model_id: str, number: int, body: Json) -> None:
        model = self[model_id]
        total_parts, total_bytes = body.get("total_parts", 0), body.get("total_definition_length", 0)
        complaints = {
            "[total_parts] must be greater than 0": total_parts <= 0,
            f"[total_parts] must be less than or equal to {MAX_PARTS}": total_parts > MAX_PARTS,
            "[total_definition_length] must be greater than 0": total_bytes <= 0,
            "[part] must be less than total_parts": number >= total_parts,
        }
        if any(complaints.values()):
            raise errors.invalid(*(complaint for complaint, true in complaints.items() if true))
        if number in model.parts:
            raise errors.part_exists(model_id, number)
        try:
            data = base64.b64decode(body["definition"], validate=True)
        except (KeyError, binascii.Error) as error:
            raise errors.not_understood("[put_trained_model_part_action] failed to parse [definition]") from error
        model.part_file(number).write_bytes(data)
        model.parts[number] = len(data)
        model.total_parts, model.total_bytes = total_parts, total_bytes

    def put_vocabulary(self, model_id: str, body: Json) -> None:
        model = self[model_id]
        if not body.get("vocabulary"):
            raise errors.invalid("[vocabulary] must not be empty")
        model.vocabulary = body["vocabulary"]
        (model.folder / "vocab.txt").write_text("\n".join(model.vocabulary) + "\n", encoding="utf-8", newline="\n")

    def delete(self, model_id: str, *, force: bool) -> None:
        model = self[model_id]
        if model.deployment and not force:
            raise errors.still_deployed(model_id)
        self.stop(model_id)
        del self._models[model_id]
        shutil.rmtree(model.folder)

    # --- Deployment ---------------------------------------------------------------------------------------------------

    def start(self, model_id: str, *, timeout: str, wait_for: str) -> StoredModel:
        """Return the model when it is started, or while it is starting if the request waits for no more."""
        model = self.matching(model_id)[0]
        deployment = self._deploy(model)
        if wait_for != "starting":
            self._wait(model, deployment, timeout)
        return model

    def wait_for(self, model_id: str, state: str, *, timeout: float = LONG) -> str | None:
        """Return the state of the model's deployment, once it is the given one or the seconds have passed."""
        with self.faults.changed:
            self.faults.changed.wait_for(lambda: self._state(model_id) == state, timeout)
        return self._state(model_id)

    def _state(self, model_id: str) -> str | None:
        deployment = self[model_id].deployment
        return deployment.state if deployment else None

    def stop(self, model_id: str) -> None:
        """End the model's deployment, if there is one; its files are no longer read when this returns."""
        with self.faults.changed:
            model = self._models.get(model_id)
            if model is None or model.deployment is None:
                return
            loading, model.deployment = model.deployment.loading, None
            self.faults.changed.notify_all()
        if loading:
            loading.join()

    def _deploy(self, model: StoredModel) -> Deployment:
        if not model.parts:
            raise errors.no_definition(model.model_id)
        if not model.fully_defined:
            raise errors.truncated_definition(model.model_id)
        with self.faults.changed:
            if model.deployment:
                raise errors.already_started(model.model_id)
            used = sum(each.deployment.required_bytes for each in self if each.deployment)
            if used + model.required_bytes > self.memory:
                raise errors.no_memory(model.model_id, needed=model.required_bytes, limit=self.memory - used)
            deployment = Deployment(model.required_bytes)
            deployment.loading = threading.Thread(target=self._load, args=(model, deployment), daemon=True)
            deployment.loading.start()
            model.deployment = deployment
            self.faults.changed.notify_all()
            return deployment

    def _load(self, model: StoredModel, deployment: Deployment) -> None:
        from tests.ml_front.inference import TextEmbedder, UnsupportedModelError

        try:
            if not model.vocabulary:
                raise UnsupportedModelError(f"[{model.model_id}] Could not find vocabulary document")
            deployment.embedder = TextEmbedder(model.file, model.folder / "vocab.txt", model.tokenization[1])
        except (UnsupportedModelError, RuntimeError) as error:
            deployment.failure = str(error).splitlines()[0]
        with self.faults.changed:
            self.faults.changed.wait_for(lambda: model.deployment is not deployment or not self.faults.holds_start())
            deployment.state = "failed" if deployment.failure else "started"
            self.faults.changed.notify_all()

    def _wait(self, model: StoredModel, deployment: Deployment, timeout: str) -> None:
        at_once = self.faults.hits("start timeout")
        with self.faults.changed:
            ready = self.faults.changed.wait_for(
                lambda: deployment.state != "starting", timeout=0 if at_once else seconds(timeout)
            )
        if not ready:
            raise errors.start_timeout(model.model_id, timeout)
        if deployment.failure:
            model.deployment = None  # as the server does
            raise errors.process_failed(model.model_id, deployment.failure)

    # --- Inference ----------------------------------------------------------------------------------------------------

    def deployed(self, model_id: str) -> Deployment:
        """Return the deployment; raise the ServerError that says why the model cannot be used now."""
        deployment = self[model_id].deployment
        if deployment is None:
            raise errors.not_deployed(model_id)
        if deployment.state == "starting":
            raise errors.not_allocated(model_id)
        if deployment.state != "started":
            raise errors.not_in_use(model_id, deployment.state)
        return deployment

    def infer(self, model_id: str, text: str, *, truncate: str | None = None) -> tuple[list[float], bool]:
        """Return the embedding of a text, and whether the text was cut."""
        deployment = self.deployed(model_id)
        if deployment.embedder is None:
            raise errors.not_allocated(model_id)
        ids, is_truncated = deployment.embedder.tokens(model_id, text, truncate=truncate)
        deployment.inferences += 1
        return deployment.embedder.embed(ids), is_truncated


def seconds(duration: str) -> float:
    """Return the seconds of a duration as Elasticsearch writes it (`60s`, `500ms`)."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
