"""Open the index that the settings name, on the embedded node or on another Elasticsearch."""

from __future__ import annotations

from collections.abc import Callable

from image_embeddings.config import Settings
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.errors import IndexMissingError
from image_embeddings.es.connection import Cluster, connect
from image_embeddings.es.image_index import ImageIndex, IndexState

Notify = Callable[[str], None]


def silent(line: str) -> None:
    """Ignore a line that is meant for the user."""


def embedded_node(settings: Settings) -> EmbeddedNode:
    """Return the embedded node that these settings describe. Nothing is started."""
    return EmbeddedNode(settings.data_dir / "elasticsearch", heap=settings.es_heap, java_home=settings.java_home)


def uses_embedded_node(settings: Settings) -> bool:
    """Return whether Elasticsearch is the embedded node, because the settings name no other."""
    return not (settings.es_host or settings.es_cloud_id)


def open_index(settings: Settings, *, timeout: float = 30, notify: Notify = silent) -> ImageIndex:
    """Return the index that the settings name. Start the embedded node if they name no Elasticsearch.

    `timeout` is the time that each request may take, in seconds. Raise SettingError if the address cannot be used, and
    EmbeddedNodeError if the embedded node does not start.
    """
    if uses_embedded_node(settings):
        return ImageIndex(_connect_to_embedded_node(settings, timeout=timeout, notify=notify), name=settings.index_name)
    cluster = connect(
        [host.strip() for host in settings.es_host.split(",")] if settings.es_host else [],
        cloud_id=settings.es_cloud_id,
        user=settings.es_user,
        password=settings.es_pwd,
        api_key=settings.es_api_key,
        ca_certs=str(settings.es_ca_certs) if settings.es_ca_certs else None,
        verify_certs=settings.es_verify_certs,
        timeout=timeout,
    )
    return ImageIndex(cluster, name=settings.index_name)


def _connect_to_embedded_node(settings: Settings, *, timeout: float, notify: Notify) -> Cluster:
    node = embedded_node(settings)
    running = node.start(notify=notify)
    return connect([running.client_url], timeout=timeout, is_disk_full=node.is_disk_full, locate=node.locate)


def node_answers(settings: Settings) -> bool:
    """Return whether the embedded node is there: whether it runs and all of its index can be read."""
    return embedded_node(settings).answers()


def node_moved(settings: Settings, index: ImageIndex) -> bool:
    """Return whether Elasticsearch is the embedded node, and no longer runs at the address that `index` uses."""
    if not uses_embedded_node(settings):
        return False
    running = embedded_node(settings).status()
    return running is None or running.url != index.cluster.address


def state_of(index: ImageIndex) -> IndexState | None:
    """Return what the index records about itself, or None if there is no index."""
    try:
        return index.state()
    except IndexMissingError:
        return None
