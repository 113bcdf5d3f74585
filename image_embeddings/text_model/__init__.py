"""The text model that runs inside Elasticsearch."""
