"""The settings of gunicorn: one process with threads, because each further process would load the model again."""

import logging
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from typing import Any

from gunicorn import glogging

from image_embeddings import errors, load_settings, log_formatter

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
    """The log of gunicorn itself, in JSON if LOG_FORMAT asks for it."""

    def setup(self, cfg: Any) -> None:
        """Set up the handlers."""
        super().setup(cfg)
        with suppress(errors.SettingError):  # on_starting reports it
            if (log_format := load_settings().log_format) != "text":
                for handler in self.error_log.handlers:
                    handler.setFormatter(log_formatter(log_format))


logger_class = Logger


def on_starting(server: Any) -> None:
    """Exit with a message of one line if a setting cannot be used, before any worker fails because of it."""
    try:
        load_settings()
    except errors.SettingError as error:
        raise SystemExit(f"Error: {error}") from None


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
    """Load the model in the background, so that the first search does not wait for it."""
    services = worker.app.wsgi().extensions["services"]

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
