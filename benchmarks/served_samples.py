"""The sample photos, or others, indexed into an embedded node of their own and served by gunicorn as in `make run`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request

from image_embeddings.config import Settings, load_settings
from image_embeddings.es import opening
from tests.browser import webapp
from tests.waiting import LONG, wait_for


class ServedSamples(NamedTuple):
    """An app that runs."""

    app: str  # its address
    settings: Settings
    env: Mapping[str, str]  # with which further commands have the same settings
    log: Path  # of gunicorn


@contextmanager
def served_samples(place: Path, *, token: str = "", **settings: str) -> Iterator[ServedSamples]:
    """Yield the app, with its data and its log below `place`. End app and node afterwards.

    If the settings have a password, `token` has to be one of API_TOKENS.
    """
    loaded = load_settings({"IMAGE_MODEL": "conse", "INDEX_NAME": "samples"}, data_dir=place / "data")
    log = place / "gunicorn.log"
    try:
        index = opening.open_index(loaded)  # kept open, so that the commands below leave the node running
        env = {**webapp.environ("", data_dir=loaded.data_dir, index_name=loaded.index_name), **settings}
        webapp.index_photos(env)
        with webapp.served(env, log=log, ready="/healthz") as app:
            wait_for(lambda: _is_ready(app, token))
            yield ServedSamples(app, loaded, env, log)
        index.cluster.client.close()
    finally:
        opening.embedded_node(loaded).stop()


def _is_ready(app: str, token: str) -> bool:
    """Return whether the model is loaded and the node found; both may take a while on a busy machine."""
    asked = Request(f"{app}/readyz", headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with webapp.OPENER.open(asked, timeout=LONG) as answer:
            return bool(answer.status == 200)
    except HTTPError:
        return False
