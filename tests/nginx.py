"""The distribution's nginx, a real reverse proxy before the web app, with the configuration of the docs."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.programs import Program
from tests.waiting import LONG, wait_for

MISSING = "nginx is missing, and tests of sub-paths need it. On Debian: apt-get install nginx-light"
DOCS = Path(__file__).parent.parent / "docs" / "reverse-proxy.md"
_PROGRAM = Program(commands=("nginx",), version_option="-v", missing=MISSING, before_version="nginx/")
executable, describe = _PROGRAM.executable, _PROGRAM.describe
# What a distribution's nginx.conf has around the servers; all files are below the folder of the test.
_AROUND = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{server}
}}
"""


@contextmanager
def sub_path(app_address: str, folder: Path) -> Iterator[str]:
    """Yield the address of an nginx that serves the web app at /photos, by the configuration of the docs."""
    port = _free_port()
    server = _replace_once(_example("nginx"), "127.0.0.1:5001", urlsplit(app_address).netloc)
    with _running(_replace_once(server, "listen 80;", f"listen 127.0.0.1:{port};"), folder, port=port):
        yield f"http://127.0.0.1:{port}/photos"


@contextmanager
def with_tls(app_address: str, folder: Path, *, certificate: Path) -> Iterator[int]:
    """Yield the port of an nginx that serves the web app by TLS, by the configuration of the docs."""
    port, plain_port = _free_port(), _free_port()
    server = _replace_once(_example("nginx tls"), "127.0.0.1:5001", urlsplit(app_address).netloc)
    server = _replace_once(server, "listen 80;", f"listen 127.0.0.1:{plain_port};")
    server = _replace_once(server, "listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    for name in ("fullchain.pem", "privkey.pem"):
        server = _replace_once(server, f"/etc/letsencrypt/live/photos.example.org/{name}", str(certificate))
    with _running(server, folder, port=port):
        yield port


def _example(language: str) -> str:
    """Return the one example of the docs in that language."""
    (server,) = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return str(server)


@contextmanager
def _running(server: str, folder: Path, *, port: int) -> Iterator[None]:
    """Run nginx with these servers, and yield once it listens at `port`."""
    program = executable()
    assert program, MISSING
    config = folder / "nginx.conf"
    config.write_text(_AROUND.format(server=server))
    command = [program, "-p", str(folder), "-c", str(config), "-e", "stderr"]
    subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=LONG)
    with (folder / "nginx.log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_for(lambda: _listens(port), what=(folder / "nginx.log").read_text)
            yield
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _replace_once(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
