"""`python -m image_embeddings`."""

try:
    from image_embeddings.cli import main
except KeyboardInterrupt:
    raise SystemExit(1) from None  # Ctrl-C during the imports: no work has begun

main(prog_name="python -m image_embeddings")
