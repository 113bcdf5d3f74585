"""Everything that speaks Elasticsearch: the connection, mapping and queries, and the index of photos."""
