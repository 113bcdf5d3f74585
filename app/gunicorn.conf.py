"""The settings of gunicorn: one process with threads, because each further process would load the model again."""

import logging
import os
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from typing import Any

from gunicorn import glogging, systemd

from image_embeddings import (
    errors,
    exposure_error,
    limit_arenas,
    load_settings,
    log_formatter,
    read_access,
    session_secret,
)

threads = 8  # the number of processes is gunicorn's default: 1, or WEB_CONCURRENCY
worker_class = "image_embeddings.serving.worker.Worker"
timeout = 120  # seconds; the first search may have to load a model
graceful_timeout = 10
raw_env = ["OMP_WAIT_POLICY=PASSIVE"]  # threads of models sleep while they wait, so that others can work
control_socket_disable = True
# gunicorn itself hears no proxy: the app hears those of TRUSTED_PROXIES. By default gunicorn lets every program on this
# machine set the scheme and SCRIPT_NAME.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}


class Logger(glogging.Logger):  # type: ignore[misc]
    """The log of gunicorn itself, in the format that LOG_FORMAT asks for. It may name what a client has sent."""

    def setup(self, cfg: Any) -> None:
        """Set up the handlers."""
        super().setup(cfg)
        with suppress(errors.SettingError):  # on_starting reports it
            formatter = log_formatter(load_settings().log_format)
            for handler in self.error_log.handlers:
                handler.setFormatter(formatter)


logger_class = Logger


def on_starting(server: Any) -> None:
    """Exit with a message of one line if a setting cannot be used, before any worker fails because of it.

    Exit as well if others could reach the web app, and it has no password.
    """
    try:
        settings = load_settings()
        problem = exposure_error(settings, _hosts_of(server.cfg))
        if read_access(settings).password and server.cfg.uid == os.geteuid():
            session_secret(settings)  # workers make it if they run as another user, who has to be able to read it
    except (errors.SettingError, errors.DataDirError) as error:
        problem = str(error)
    if problem:
        raise SystemExit(f"Error: {problem}")


def _hosts_of(cfg: Any) -> list[str]:
    """Return the hosts at which gunicorn will listen. Sockets in the file system have none.

    Among its addresses, a number is a socket that was opened before, such as fd://3. systemd opens some, too.
    """
    first = systemd.SD_LISTEN_FDS_START
    opened = range(first, first + systemd.listen_fds(unset_environment=False))
    addresses = [_name_of(address) if isinstance(address, int) else address for address in (*cfg.address, *opened)]
    return [address[0] for address in addresses if isinstance(address, tuple)]


def _name_of(number: int) -> Any:
    """Return the address of the socket with that number."""
    with socket.socket(fileno=os.dup(number)) as listener:
        return listener.getsockname()


def pre_fork(server: Any, worker: Any) -> None:
    """Let several processes share their counts: any of them may answer /metrics, and it answers for all of them."""
    if worker.cfg.workers > 1:
        server.counts = getattr(server, "counts", None) or _folder_for_counts(worker.cfg)
        worker.cfg.set("raw_env", [*raw_env, f"PROMETHEUS_MULTIPROC_DIR={server.counts}"])


def on_exit(server: Any) -> None:
    """Remove the folder of the shared counts."""
    if folder := getattr(server, "counts", None):
        shutil.rmtree(folder, ignore_errors=True)


def post_worker_init(worker: Any) -> None:
    """Prepare a worker process for its threads.

    The app counts what the server refuses by itself. The model is loaded, so that the first search need not wait.
    """
    limit_arenas()
    app = worker.app.wsgi()
    worker.on_refusal = app.extensions["metrics"].count_error
    services = app.extensions["services"]

    def warm_up() -> None:
        try:
            services.search.warm_up()
        except errors.ImageSearchError as error:  # /readyz and the pages report it too
            logging.getLogger("gunicorn.error").warning("Not ready to search: %s", error)

    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()


def _folder_for_counts(cfg: Any) -> str:
    """Return a new folder beside gunicorn's own temporary files; it belongs to the user that runs the processes."""
    folder = tempfile.mkdtemp(prefix="image-search-counts-", dir=cfg.worker_tmp_dir)
    os.chown(folder, cfg.uid, cfg.gid)
    return folder
