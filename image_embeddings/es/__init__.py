"""Everything that uses Elasticsearch: the connection, the mapping, the queries, and the index of photos."""
