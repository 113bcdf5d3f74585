"""gunicorn's settings. One process with threads: each further process would load the model again."""

import logging
import threading
from typing import Any

workers = 1  # WEB_CONCURRENCY or --workers for more
threads = 8
worker_class = "gthread"
timeout = 120  # seconds; the first search may have to load a model
graceful_timeout = 10
raw_env = ["OMP_WAIT_POLICY=PASSIVE"]  # threads of models sleep while they wait, for the others' sake
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Says in one line when a setting cannot be used, before any worker fails over it."""
    from image_embeddings import errors, load_settings

    try:
        load_settings()
    except errors.SettingError as error:
        raise SystemExit(f"Error: {error}") from None


def post_worker_init(worker: Any) -> None:
    """Loads the model in the background, so that the first search need not wait for it."""
    from image_embeddings.errors import ImageSearchError

    services = worker.app.wsgi().extensions["services"]

    def warm_up() -> None:
        try:
            services.search.warm_up()
        except ImageSearchError as error:  # /readyz and the pages say so too
            logging.getLogger("gunicorn.error").warning("Not ready to search: %s", error)

    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
