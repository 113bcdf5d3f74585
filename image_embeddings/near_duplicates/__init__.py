"""Photos that are the same, or nearly so."""
