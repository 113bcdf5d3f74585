"""Indexing runs: from a folder of photos to an index that holds exactly them."""
