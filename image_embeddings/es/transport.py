"""The connection to one node of Elasticsearch 9 or 8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from elastic_transport import HttpHeaders

from image_embeddings.es.quick_node import QuickNode

if TYPE_CHECKING:
    from elastic_transport._node import NodeApiResponse

_NINE, _EIGHT = "compatible-with=9", "compatible-with=8"


class NineOrEightNode(QuickNode):
    """A connection that sends requests in the form of version 9, and after the first refusal in that of version 8.

    The client of version 9 names only its own form in the headers. Servers of version 8 refuse that for any request.
    The bodies that we send are the same in both forms.
    """

    _eight = False

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: Any = None,
    ) -> NodeApiResponse:
        """Return the node's answer. If the node turns out to be of version 8, send the request again."""

        def ask() -> NodeApiResponse:
            return super(NineOrEightNode, self).perform_request(
                method, target, body=body, headers=self._translate_headers(headers), request_timeout=request_timeout
            )

        answer = ask()
        if not self._eight and answer.meta.status == 400 and b"media_type_header_exception" in answer.body:
            self._eight = True
            answer = ask()
        elif not self._eight and answer.meta.status < 400:
            # The node is of version 9: from now on, send requests as the client makes them.
            self.perform_request = super().perform_request  # type: ignore[method-assign]
        return answer

    def _translate_headers(self, headers: Mapping[str, str] | None) -> HttpHeaders | None:
        if headers is None or not self._eight:
            return HttpHeaders(headers) if headers is not None else None
        return HttpHeaders({name: value.replace(_NINE, _EIGHT) for name, value in headers.items()})
