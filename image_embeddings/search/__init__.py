"""Searching the indexed photos."""
