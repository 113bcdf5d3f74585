"""The command `evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from image_embeddings import assembly, evaluation
from image_embeddings.cli.terminal import json_option, k_option, print_json, say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.sources.captions_file import CAPTIONS, read_captions


@click.command()
@click.option(
    "--captions", type=click.Path(path_type=Path), help="CSV of image_id, language, caption.  [IMAGE_DIR/captions.csv]"
)
@click.option("--queries", default=100, show_default=True, type=click.IntRange(1), help="Photos drawn as queries.")
@k_option
@json_option
def evaluate(captions: Path | None, queries: int, k: int, as_json: bool) -> None:
    """Measure the search: recall on captions, and agreement with exact search."""
    with show_errors():
        settings = load_settings()
        search = assembly.open_search(settings, notify=say)
        file = captions or Path(settings.image_dir, CAPTIONS)
        texts = read_captions(file) if captions or file.exists() else {}
        ann = evaluation.ann_recall(search.index, k=k, queries=queries)
        recalls = evaluation.text_recall(search, texts)
        if as_json:
            print_json({"ann_recall": asdict(ann), "text_recall": [asdict(recall) for recall in recalls]})
            return
        for recall in recalls:
            shares = "  ".join(f"recall@{rank} {share:.3f}" for rank, share in recall.recall_at.items())
            click.echo(f"{recall.language:>5}  {shares}  ({recall.captions} captions)")
        click.echo(f"ANN recall@{ann.k} {ann.recall:.3f}  ({ann.queries} photos as queries)")
        if not texts:
            say(f"No captions at {file}: text search was not measured.")
