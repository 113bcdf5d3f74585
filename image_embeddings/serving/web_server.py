"""The web app's server: gunicorn in this process, with the settings in app/gunicorn.conf.py."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_embeddings.config import ROOT, Settings, is_set
from image_embeddings.embedded_node.node import SETTLING_SECONDS, EmbeddedNode
from image_embeddings.errors import ElasticsearchError, ImageSearchError, IndexStateError, SettingError
from image_embeddings.es.opening import Notify, embedded_node, open_index, state_of, uses_embedded_node
from image_embeddings.serving.access import exposure_error
from image_embeddings.serving.port_check import listening_error
from image_embeddings.sources.choice import parse_address
from image_embeddings.sources.indexed_folders import was_indexed

APP = ROOT / "app"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(settings: Settings, *, host: str, port: int, notify: Notify) -> None:
    """Serve the web app until Ctrl-C, SIGTERM or SIGHUP. It ends with SystemExit, as gunicorn does.

    The embedded node is started first if the settings name no Elasticsearch. It is stopped at the end, unless another
    client uses it or `node start` has started it.

    Raises:
        ImageSearchError: no server can listen at that address, or the web app is missing.
        SettingError: others could reach the web app at that address, and it has no password.
        EmbeddedNodeError: the embedded node does not start.
    """
    check_address(settings, host=host, port=port)
    if not (APP / "gunicorn.conf.py").is_file():
        raise ImageSearchError(f"There is no web app beside the library in {ROOT}. Install the package image-search.")
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    node = embedded_node(settings) if uses_embedded_node(settings) else None
    master = os.getpid()  # workers are forks of this process, and also leave this function
    try:
        if node:
            node.start(notify=notify)
        served = _with_indexed_photos(settings, notify)
        _make_gunicorn(served, bind=f"[{host}]:{port}" if ":" in host else f"{host}:{port}").run()
    finally:
        if node and os.getpid() == master:
            _stop(node, notify)


def check_address(settings: Settings, *, host: str, port: int) -> None:
    """Check whether the web app may and can listen at that address.

    Raises:
        SettingError: others could reach it there, and it has no password.
        ImageSearchError: no server can listen there.
    """
    if error := exposure_error(settings, [host]):
        raise SettingError(error)
    if error := listening_error(host, port):
        raise ImageSearchError(f"{error} --port {port + 1}")


def _with_indexed_photos(settings: Settings, notify: Notify) -> Settings:
    """Return the settings with IMAGE_DIR replaced by the folder that the index records, unless IMAGE_DIR is set.

    All files below it can be served. So a cluster, which others may write to, cannot name any folder: only one that was
    indexed from here.
    """
    if is_set("IMAGE_DIR"):
        return settings
    try:
        index = open_index(settings, timeout=5)
        state = state_of(index)
        index.cluster.close()  # else this process would count as a client of the node
    except (ElasticsearchError, IndexStateError):  # the web app reports it, and tries again
        return settings
    folder = parse_address(state.corpus) if state and state.corpus else settings.image_dir
    if folder == settings.image_dir:
        return settings
    if isinstance(folder, Path) and not folder.is_dir():
        notify(
            f"The index says that its photos are in {folder}, which is no folder on this machine now. Mount its drive, "
            f"or set IMAGE_DIR to the folder of these photos, and start again. Photos are looked for in "
            f"{settings.image_dir} now."
        )
        return settings
    if not uses_embedded_node(settings) and not was_indexed(settings.data_dir, folder):
        notify(f"The index says that its photos are in {folder}, which was not indexed from here: set IMAGE_DIR to it.")
        return settings
    notify(f"The photos are those of {folder}, which was indexed.")
    return replace(settings, image_dir=folder)


def _make_gunicorn(settings: Settings, *, bind: str) -> Any:
    from gunicorn.app.base import Application

    class WebServer(Application):  # type: ignore[misc]
        """gunicorn with our settings. As always, GUNICORN_CMD_ARGS overrides them."""

        def load_config(self) -> None:
            self.load_config_from_file(str(APP / "gunicorn.conf.py"))
            options = vars(self.cfg.parser().parse_args(self.cfg.get_cmd_args_from_env()))
            for name, value in {**options, "bind": bind, "when_ready": _end_at_hangup}.items():
                if value is not None and name != "args":
                    self.cfg.set(name, value)

        def load(self) -> Any:
            return _load_app().create_app(settings)

    return WebServer()


def _end_at_hangup(server: Any) -> None:
    """Make SIGHUP end the server. Otherwise gunicorn would still run after its terminal is closed."""
    signal.signal(signal.SIGHUP, lambda *_: os.kill(server.pid, signal.SIGTERM))


def _load_app() -> Any:
    """Return the package `app` beside this library, even if the path has another module of that name."""
    spec = importlib.util.spec_from_file_location("app", APP / "__init__.py", submodule_search_locations=[str(APP)])
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["app"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _stop(node: EmbeddedNode, notify: Notify) -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if not node.is_kept():
        node.stop(unless_used_within=SETTLING_SECONDS, notify=notify)
