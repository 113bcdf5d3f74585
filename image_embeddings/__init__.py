"""Index photos and search them by text or image, with Elasticsearch kNN."""
