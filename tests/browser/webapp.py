"""The web app as a process of its own, over an index that a command has filled."""

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.commands import run_here
from tests.waiting import LONG

ROOT = Path(__file__).resolve().parent.parent.parent
GUNICORN = (sys.executable, "-m", "gunicorn", "--config", "app/gunicorn.conf.py")
PHOTOS = ROOT / "app" / "static" / "images"
LAN_NAME = "photos.test"  # a name for it as if in a network: browsers trust it less than 127.0.0.1
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def environ(elasticsearch_url: str, *, data_dir: Path, index_name: str) -> dict[str, str]:
    """Return this environment with the settings of a web app on the sample photos; the user's .env is ignored."""
    settings = {
        "ES_HOST": elasticsearch_url,
        "IMAGE_MODEL": "conse",
        "IMAGE_DIR": str(PHOTOS),
        "DATA_DIR": str(data_dir),
        "INDEX_NAME": index_name,
        "TRUSTED_HOSTS": LAN_NAME,
    }
    unset = dict.fromkeys(
        ("ES_USER", "ES_PWD", "ES_PWD_FILE", "ES_API_KEY", "ES_CLOUD_ID", "ES_CA_CERTS", "TEXT_MODEL"), ""
    )
    return {**os.environ, **unset, **settings}


def index_photos(env: Mapping[str, str], *options: str) -> None:
    """Index the photos by the command that users type, in this process, which has loaded the libraries."""
    done = run_here(env, "index", *options)
    assert done.exit_code == 0, done.stderr


@contextmanager
def served(env: Mapping[str, str], *, log: Path, options: Sequence[str] = (), ready: str = "/readyz") -> Iterator[str]:
    """Yield the address of gunicorn, started as by `make run`, once `ready` is answered; end it afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("w") as output:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        bind = f"fd://{listener.fileno()}"  # the port is ours already, so no other process can take it meanwhile
        process = subprocess.Popen(
            [*GUNICORN, "--bind", bind, *options, "app:create_app()"],
            cwd=ROOT,
            env=env,
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_answered(f"{address}{ready}", log)
        yield address
    finally:
        _end(process)


def _wait_until_answered(address: str, log: Path) -> None:
    """Send one request and wait for the answer: the port listens already, and /readyz waits for the model."""
    try:
        with OPENER.open(address, timeout=LONG) as answer:
            assert answer.status == 200
    except OSError as error:
        raise AssertionError(f"{address} does not answer ({error}):\n{log.read_text()}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=LONG)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
