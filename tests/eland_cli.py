"""eland's real command, which people use to bring a model into Elasticsearch."""

import os
import subprocess
import sys
from pathlib import Path

from tests import tls_front
from tests.waiting import LONG


def import_model(url: str, folder: Path, *flags: str, model_id: str = "m") -> subprocess.CompletedProcess[str]:
    """Run the command for the model in `folder`, with flags for the embeddings of the local model; return its end."""
    command = [sys.executable, "-m", "eland.cli.eland_import_hub_model", "--url", url, "--hub-model-id", str(folder)]
    command += ["--es-model-id", model_id, "--task-type", "text_embedding", "--max-model-input-length", "128", *flags]
    return subprocess.run(command, env=_environ(), capture_output=True, text=True, timeout=LONG, check=False)


def with_password(ca_certs: Path) -> list[str]:
    user, password = tls_front.UPLOADER
    return ["--ca-certs", str(ca_certs), "--es-username", user, "--es-password", password]


def with_api_key(ca_certs: Path) -> list[str]:
    return ["--ca-certs", str(ca_certs), "--es-api-key", tls_front.API_KEY]


def _environ() -> dict[str, str]:
    # These two variables override --ca-certs, because eland uses the library requests.
    others = {name: value for name, value in os.environ.items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
    return {**others, "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
