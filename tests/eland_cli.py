"""eland's real command, which people use to bring a model into Elasticsearch.

It runs in a process of its own, which is forked from one that has imported eland and torch: that takes seconds, and
otherwise each command would do it anew.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import tls_front
from tests.waiting import LONG

_COMMAND = "eland.cli.eland_import_hub_model"
# What the command imports when it runs.
_MODULES = [_COMMAND, "eland.ml.pytorch", "eland.ml.pytorch.transformers", "elasticsearch", "sentence_transformers"]


def import_model(url: str, folder: Path, *flags: str, model_id: str = "m") -> subprocess.CompletedProcess[str]:
    """Run the command for the model in `folder`, with flags for the embeddings of the local model; return its end."""
    arguments = ["--url", url, "--hub-model-id", str(folder), "--es-model-id", model_id]
    arguments += ["--task-type", "text_embedding", "--max-model-input-length", "128", *flags]
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(_MODULES)
    with tempfile.TemporaryDirectory() as outputs:
        process = processes.Process(target=_run, args=(arguments, outputs))
        process.start()
        process.join(LONG)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, LONG)
        stdout, stderr = (Path(outputs, name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, process.exitcode, stdout, stderr)


def with_password(ca_certs: Path) -> list[str]:
    user, password = tls_front.UPLOADER
    return ["--ca-certs", str(ca_certs), "--es-username", user, "--es-password", password]


def with_api_key(ca_certs: Path) -> list[str]:
    return ["--ca-certs", str(ca_certs), "--es-api-key", tls_front.API_KEY]


def _run(arguments: list[str], outputs: str) -> None:
    """Be the command; what it writes goes into two files of the folder `outputs`."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        with Path(outputs, name).open("wb") as file:
            os.dup2(file.fileno(), number)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they override --ca-certs, because eland uses requests
        os.environ.pop(name, None)
    os.environ.update(NO_PROXY="127.0.0.1", HF_HUB_OFFLINE="1")
    sys.argv = ["eland_import_hub_model", *arguments]
    from eland.cli import eland_import_hub_model

    eland_import_hub_model.main()
