"""The embedded single-node Elasticsearch."""
