"""The connection to the embedded node, which has another port and another token after each start."""

from __future__ import annotations

import http
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from elastic_transport import BaseNode, HttpHeaders, NodeConfig, TransportError
from elastic_transport.client_utils import DEFAULT, url_to_node_config
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from image_embeddings.es.quick_node import QuickNode

if TYPE_CHECKING:
    from elastic_transport._node import NodeApiResponse

Locate = Callable[[], str | None]


class FollowingNode(BaseNode):
    """A connection that looks up where the node is after each failure, so that the next request goes to its new place.

    `locate` returns the address with the token in it, or None while the node itself does not listen there. A request
    that was sent to the old place is not repeated here if it may have been carried out.
    """

    _CLIENT_META_HTTP_CLIENT = QuickNode._CLIENT_META_HTTP_CLIENT

    def __init__(self, config: NodeConfig, *, locate: Locate) -> None:
        super().__init__(config)
        self._locate = locate
        self._place = self._place_at(config)  # replaced as a whole: no token is ever sent to another node's port
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        """The host where the node was last."""
        return self._place.host

    @property
    def port(self) -> int:
        """The port where the node was last."""
        return self._place.port

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: Any = DEFAULT,
    ) -> NodeApiResponse:
        """Return the node's answer. If the node refuses the token of an earlier start, ask again with the new one."""
        place = self._place
        try:
            answer = place.perform_request(method, target, body, headers, request_timeout)
        except TransportError:
            self._follow(place)
            raise
        if answer.meta.status == http.HTTPStatus.UNAUTHORIZED and self._follow(place):
            return self._place.perform_request(method, target, body, headers, request_timeout)
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._place.close()

    def _follow(self, place: QuickNode) -> bool:
        """Return whether the node is elsewhere than at `place`. If so, further requests go there."""
        with self._lock:
            if self._place is not place:
                return True
            url = self._locate()
            if url is None:
                return False
            found = url_to_node_config(url)
            if (found.port, found.headers) == (place.port, place.config.headers):
                return False
            self._place = self._place_at(self.config.replace(host=found.host, port=found.port, headers=found.headers))
            return True

    def _place_at(self, config: NodeConfig) -> QuickNode:
        """Return connections to one place that send nothing if another program than the node has taken its port."""
        locate = self._locate

        class NodesConnection(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                url = locate()
                if url is None or url_to_node_config(url).port != self.port:
                    self.close()
                    raise NewConnectionError(self, "The embedded node does not run there any more.")

        place = QuickNode(config)
        place.connections.ConnectionCls = NodesConnection
        return place


def following(locate: Locate) -> type[FollowingNode]:
    """Return the class of connections that find the node by `locate`."""

    class Following(FollowingNode):
        def __init__(self, config: NodeConfig) -> None:
            super().__init__(config, locate=locate)

    return Following
