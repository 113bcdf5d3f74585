"""The errors of Elasticsearch's trained models (9.x), word for word, and the faults that a test can order."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.tls_front import ServerError


class ConnectionBroken(Exception):  # noqa: N818
    """The connection is to be closed without an answer."""


# --- The requested model is not there ---------------------------------------------------------------------------------


def no_config(model_id: str) -> ServerError:
    return ServerError(404, "resource_not_found_exception", f"No known trained model with model_id [{model_id}]")


def no_model(model_id: str) -> ServerError:
    return ServerError(404, "resource_not_found_exception", f"Could not find trained model [{model_id}]")


def no_definition(model_id: str) -> ServerError:
    return ServerError(404, "resource_not_found_exception", f"Could not find trained model definition [{model_id}]")


def truncated_definition(model_id: str) -> ServerError:
    reason = f"Model definition truncated. Unable to deserialize trained model definition [{model_id}]"
    return ServerError(400, "status_exception", reason)


def no_deployed_model(model_id: str) -> ServerError:
    """Return the error of a search, whether the model is unknown or only not deployed."""
    reason = f"[{model_id}] is not an inference service model or a deployed ml model"
    return ServerError(404, "status_exception", reason)


# --- It is there, but in another state --------------------------------------------------------------------------------


def model_exists(model_id: str) -> ServerError:
    reason = f"Trained machine learning model [{model_id}] already exists"
    return ServerError(400, "resource_already_exists_exception", reason)


def part_exists(model_id: str, part: int) -> ServerError:
    reason = f"Trained machine learning model chunked doc [{model_id}][{part}] already exists"
    return ServerError(400, "resource_already_exists_exception", reason)


def not_deployed(model_id: str) -> ServerError:
    reason = "must be deployed to use. Please deploy with the start trained model deployment API."
    return ServerError(409, "status_exception", f"Model [{model_id}] {reason}")


def not_allocated(model_id: str) -> ServerError:
    reason = f"Trained model deployment [{model_id}] is not allocated to any nodes"
    return ServerError(409, "status_exception", reason)


def not_in_use(model_id: str, state: str) -> ServerError:
    """Return the error for the states `stopping` and `failed`."""
    return ServerError(409, "status_exception", f"Trained model [{model_id}] is [{state}]")


def already_started(model_id: str) -> ServerError:
    reason = f"Cannot start deployment [{model_id}] because it has already been started"
    return ServerError(409, "status_exception", reason)


def still_deployed(model_id: str) -> ServerError:
    reason = f"Cannot delete model [{model_id}] as it is currently deployed; use force to delete the model"
    return ServerError(409, "status_exception", reason)


def still_referenced(model_id: str) -> ServerError:
    return ServerError(
        409, "status_exception", f"Cannot delete model [{model_id}] as it is still referenced by ingest processors"
    )


# --- The deployment does not start ------------------------------------------------------------------------------------


def no_memory(model_id: str, *, needed: int = 2**31, limit: int = 2**30) -> ServerError:
    explanation = (
        f"Could not assign (more) allocations on node [front]. Reason: This node has insufficient available memory. "
        f"Available memory for ML [{limit}], estimated memory required for this model [{needed}]."
    )
    cause = "Could not start deployment because no suitable nodes were found, allocation explanation"
    reason = "Could not start deployment because no ML nodes with sufficient capacity were found"
    caused_by = {"type": "illegal_state_exception", "reason": f"{cause} [{explanation}]"}
    return ServerError(429, "status_exception", reason, caused_by=caused_by)


def process_failed(model_id: str, why: str = "pytorch_inference process failed") -> ServerError:
    reason = "Could not start trained model deployment, the following nodes failed with errors"
    return ServerError(500, "status_exception", f"{reason} [{{front={why}}}]")


def start_timeout(model_id: str, timeout: str = "60s") -> ServerError:
    return ServerError(408, "status_exception", f"Starting deployment timed out after [{timeout}]")


# --- The inference fails ----------------------------------------------------------------------------------------------


def no_text(field: str) -> ServerError:
    return ServerError(400, "status_exception", f"no value could be found for input field [{field}]")


def input_too_large(model_id: str, *, length: int = 600, limit: int = 512) -> ServerError:
    tokens = f"The tokenized input length [{length}] exceeds the maximum sequence length [{limit}]"
    return ServerError(400, "status_exception", f"Input too large. {tokens}")


def inference_timeout(model_id: str, timeout: str = "10s") -> ServerError:
    return ServerError(408, "status_exception", f"timeout [{timeout}] waiting for inference result")


def queue_full(model_id: str) -> ServerError:
    reason = "inference process queue is full. Unable to execute command"
    return ServerError(429, "es_rejected_execution_exception", reason)


# --- The request or the licence does not allow it ---------------------------------------------------------------------


def not_licensed(model_id: str) -> ServerError:
    reason = "current license is non-compliant for [ml]"
    return ServerError(403, "security_exception", reason, **{"license.expired.feature": "ml"})


def not_permitted(model_id: str) -> ServerError:
    reason = "action [cluster:monitor/xpack/ml/inference/get] is unauthorized for user [app]"
    return ServerError(403, "security_exception", reason)


def invalid(*complaints: str) -> ServerError:
    listed = "".join(f"{number}: {complaint};" for number, complaint in enumerate(complaints, 1))
    return ServerError(400, "action_request_validation_exception", f"Validation Failed: {listed}")


def not_understood(reason: str) -> ServerError:
    return ServerError(400, "x_content_parse_exception", reason)


# --- Faults -----------------------------------------------------------------------------------------------------------

Make = Callable[[str], ServerError]


def _inference(make: Make, *, search: Make | None = None) -> dict[str, Make]:
    return {"infer": make, "search": search or make}


# Fault -> operation -> the error it answers with. Operations: get, put, upload, start, infer, search, delete.
FAULTS: dict[str, dict[str, Make]] = {
    "unknown model": {"get": no_config, **_inference(no_model, search=no_deployed_model)},
    "not deployed": _inference(not_deployed, search=no_deployed_model),
    "not allocated": _inference(not_allocated),
    "stopping": _inference(lambda model_id: not_in_use(model_id, "stopping")),
    "failed": _inference(lambda model_id: not_in_use(model_id, "failed")),
    "input too large": _inference(input_too_large),
    "inference timeout": _inference(inference_timeout),
    "queue full": _inference(queue_full),
    "no memory": {"start": no_memory},
    "process failed": {"start": process_failed},
    "no definition": {"start": no_definition},
    "already started": {"start": already_started},
    "basic licence": {"put": not_licensed, "upload": not_licensed, "start": not_licensed, **_inference(not_licensed)},
    # A search encodes with the rights of Elasticsearch itself, so its user needs no privilege for that.
    "no privilege": {"get": not_permitted, "infer": not_permitted},
    "deployed": {"delete": still_deployed},
    # These have no error of their own:
    "break off": {},  # the connection is closed at part `part` of the upload, which is not stored
    "slow start": {},  # deployments stay `starting` until the fault is cleared; `_start` waits, up to its timeout
    "start timeout": {},  # the same, but `_start` answers 408 at once
}

# The state that `_stats` shows under these faults, in place of the deployment's own.
STATES = {"not allocated": "starting", "stopping": "stopping", "failed": "failed"}


@dataclass
class Fault:
    """A fault that was ordered: how many answers it still affects (None: until it is cleared), and at which part."""

    times: int | None = None
    part: int = 0


class Faults:
    """The faults in force; `changed` is notified when one is added or removed."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._active: dict[str, Fault] = {}

    def order(self, name: str, *, times: int | None = None, part: int = 0) -> None:
        """Add a fault; raise KeyError for a name that is not in FAULTS."""
        FAULTS[name]
        with self.changed:
            self._active[name] = Fault(times, part)

    def clear(self, name: str | None = None) -> None:
        """End one fault, or all."""
        with self.changed:
            for ended in [name] if name else list(self._active):
                self._active.pop(ended, None)
            self.changed.notify_all()

    def strike(self, operation: str, model_id: str) -> None:
        """Raise the error of the first fault that concerns the operation."""
        for name in list(self._active):
            if operation in FAULTS[name] and self.hits(name):
                raise FAULTS[name][operation](model_id)

    def hits(self, name: str, *, part: int = 0) -> bool:
        """Return whether the fault is in force (for that part of an upload); this uses up one of its times."""
        with self.changed:
            fault = self._active.get(name)
            if fault is None or fault.part != part:
                return False
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self._active[name]
            return True

    def holds_start(self) -> bool:
        return "slow start" in self._active or "start timeout" in self._active

    def state(self, own: str) -> str:
        """Return the state of a deployment that `_stats` shows."""
        return next((STATES[name] for name in self._active if name in STATES), own)

    def describe(self) -> dict[str, Any]:
        return {name: vars(fault) for name, fault in self._active.items()}
