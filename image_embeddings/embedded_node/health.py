"""What the embedded node answers when it is asked how it is."""

import base64
import http.client
import json
from typing import Any

from image_embeddings.embedded_node.running import USER, RunningNode, listens


class TokenRefusedError(Exception):
    """The node runs, but the token that is known is not its own."""


def is_usable(running: RunningNode) -> bool:
    """Return whether everything that was written can be read.

    An index that has no place on the disk yet does not matter, because it is empty. Raise TokenRefusedError if the node
    refuses the token.
    """
    answer = ask(running, "/_cluster/health?wait_for_status=yellow&timeout=1s")
    if answer is None:
        return False
    return answer.get("timed_out") is False or _lacks_new_indices_only(running)


def ask(running: RunningNode, path: str) -> dict[str, Any] | None:
    """Return the JSON answer, or None if there is none. This uses http.client, which never goes through a proxy.

    Raise TokenRefusedError if the node refuses the token.
    """
    if not listens(running):
        return None
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=5)
    secret = base64.b64encode(f"{USER}:{running.token}".encode()).decode()
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {secret}"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    if response.status == http.client.UNAUTHORIZED:
        raise TokenRefusedError
    return answer if isinstance(answer, dict) else None


def _lacks_new_indices_only(running: RunningNode) -> bool:
    wanted = "routing_table.indices.*.shards.*.state,routing_table.indices.*.shards.*.unassigned_info.reason"
    answer = ask(running, f"/_cluster/state/routing_table?filter_path={wanted}")
    if answer is None:
        return False
    indices = answer.get("routing_table", {}).get("indices", {}).values()
    copies = [copy for index in indices for shard in index["shards"].values() for copy in shard]
    lacking = [copy for copy in copies if copy["state"] != "STARTED"]
    return all(copy.get("unassigned_info", {}).get("reason") == "INDEX_CREATED" for copy in lacking)
