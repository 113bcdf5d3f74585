"""Search of the indexed photos."""
