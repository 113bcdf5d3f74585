"""`python -m image_embeddings`."""

try:
    from image_embeddings.cli import main
except KeyboardInterrupt:
    raise SystemExit(1) from None  # nothing was begun

main(prog_name="python -m image_embeddings")
