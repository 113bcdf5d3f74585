"""Remedies as people follow them: the request to Elasticsearch that a message names."""

import json
import re

_REQUEST = re.compile(r"(PUT|POST) (\S+)(?: (\{.*\}))?")


def follow_remedy(cluster, message):
    """Send the request that a message names."""
    method, path, body = _REQUEST.search(str(message)).groups()
    as_json = {"Accept": "application/json", "Content-Type": "application/json"}
    cluster.client.perform_request(method, f"/{path}", body=json.loads(body) if body else None, headers=as_json)
