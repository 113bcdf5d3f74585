"""The server's descriptions of a trained model, with its field names."""

from datetime import datetime, timezone

from tests.ml_front.errors import Faults
from tests.ml_front.models import Deployment, Json, StoredModel

NODE = "front"
STORE = ".ml-inference-native-000002"


def config_of(model: StoredModel, *, with_status: bool = False) -> Json:
    """Return a model's entry in the answer to GET _ml/trained_models."""
    task = model.config["inference_config"]["text_embedding"]
    stored = {**task, "vocabulary": {"index": STORE}}
    return {
        "model_id": model.model_id,
        "created_by": "api_user",
        "version": "12.0.0",
        "create_time": int(model.created_at * 1000),
        "model_size_bytes": model.total_bytes,
        "estimated_operations": 0,
        "license_level": "platinum",
        "tags": [],
        **model.config,
        "inference_config": {"text_embedding": stored},
        "location": {"index": {"name": STORE}},
        **({"fully_defined": model.fully_defined} if with_status else {}),
    }


def assignment_of(model: StoredModel) -> Json:
    """Return the answer to _start."""
    deployment = model.deployment or Deployment(0, state="stopping")
    started = datetime.fromtimestamp(deployment.started_at, timezone.utc).isoformat(timespec="milliseconds")
    route = {"current_allocations": 1, "target_allocations": 1, "routing_state": deployment.state, "reason": ""}
    return {
        "assignment": {
            "task_parameters": {**_parameters(model), "model_bytes": model.total_bytes, **_sizes(model)},
            "routing_table": {NODE: route},
            "assignment_state": deployment.state,
            "start_time": started.replace("+00:00", "Z"),
            "max_assigned_allocations": 1,
        }
    }


def stats_of(model: StoredModel, faults: Faults) -> Json:
    """Return a model's entry in the answer to _stats; without `deployment_stats` if it is not deployed."""
    sizes = {"model_size_bytes": model.total_bytes, "required_native_memory_bytes": model.required_bytes}
    stats: Json = {"model_id": model.model_id, "model_size_stats": sizes, "pipeline_count": 0}
    deployment = model.deployment
    if deployment is None:
        return stats
    state = faults.state(deployment.state)
    began = int(deployment.started_at * 1000)
    running = state == "started"
    node = {
        "node": {NODE: {"name": NODE, "roles": ["ml"], "transport_address": "127.0.0.1:9300", "attributes": {}}},
        "routing_state": {"routing_state": state, **({"reason": deployment.failure} if deployment.failure else {})},
        "inference_count": deployment.inferences,
        "number_of_pending_requests": 0,
        "peak_throughput_per_minute": deployment.inferences,
        "throughput_last_minute": deployment.inferences,
        "start_time": began,
    }
    return {
        **stats,
        "deployment_stats": {
            **_parameters(model),
            "state": state,
            "allocation_status": {
                "allocation_count": int(running),
                "target_allocation_count": 1,
                "state": "fully_allocated" if running else "starting",
            },
            "start_time": began,
            "peak_throughput_per_minute": deployment.inferences,
            "inference_count": deployment.inferences,
            "nodes": [node],
        },
    }


def _parameters(model: StoredModel) -> Json:
    return {
        "model_id": model.model_id,
        "deployment_id": model.model_id,
        "threads_per_allocation": 1,
        "number_of_allocations": 1,
        "queue_capacity": 10_000,
        "cache_size": f"{model.total_bytes}b",
        "priority": "normal",
    }


def _sizes(model: StoredModel) -> Json:
    metadata = model.config.get("metadata", {})
    return {name: metadata.get(name, 0) for name in ("per_deployment_memory_bytes", "per_allocation_memory_bytes")}
