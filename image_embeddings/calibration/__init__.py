"""Measuring what likeness is usual in an index, to tell which hits really match."""
