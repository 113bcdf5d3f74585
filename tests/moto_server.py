"""An S3 server on loopback: moto in a process of its own. Nothing ever asks an address outside."""

import contextlib
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from tests.waiting import LONG, wait_for

# Without credentials in the environment, boto3 would ask the metadata service of a cloud. That is never wanted here.
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "secret-of-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_SERVE = "import sys; from moto.server import main; main(sys.argv[1:])"


@contextmanager
def moto_server(log):
    """Yield the address of an empty S3 server, whose log is written to the file `log`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", _SERVE, "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **ENVIRON})
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(address) or server.poll() is not None)
        assert server.poll() is None, log.read_text()
        yield address
    finally:
        server.terminate()
        server.wait(LONG)


def answers(address):
    with contextlib.suppress(URLError, ConnectionError):
        return urlopen(f"{address}/moto-api/", timeout=LONG).status == 200
    return False


def make_client(address):
    """Return a client of the server, for tests that put photos there."""
    from boto3.session import Session

    keys = {
        "aws_access_key_id": ENVIRON["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": ENVIRON["AWS_SECRET_ACCESS_KEY"],
    }
    return Session().client("s3", endpoint_url=address, region_name="us-east-1", **keys)


def share_service_models():
    """Let all clients of this process share what botocore reads of the service: each would need 0.15 s to read it."""
    from botocore.loaders import Loader

    make, shared = Loader.__init__, {}

    def make_with_shared_cache(self, *args, **options):
        make(self, *args, **options)
        self._cache = shared

    Loader.__init__ = make_with_shared_cache
