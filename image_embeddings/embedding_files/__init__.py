"""Files of embeddings: what is in an index, kept outside it, for another index or for other programs."""
