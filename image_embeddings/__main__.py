"""`python -m image_embeddings`."""

from image_embeddings.cli import main

main(prog_name="python -m image_embeddings")
