"""The command `evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from image_embeddings import assembly, evaluation
from image_embeddings.cli.terminal import json_option, k_option, print_json, say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.evaluation.ann_settings import TARGET, AnnReport, measure_settings
from image_embeddings.sources.captions_file import CAPTIONS, read_captions


@click.command()
@click.option(
    "--captions", type=click.Path(path_type=Path), help="CSV of image_id, language, caption.  [IMAGE_DIR/captions.csv]"
)
@click.option("--queries", default=100, show_default=True, type=click.IntRange(1), help="Photos drawn as queries.")
@click.option("--ann", "with_settings", is_flag=True, help="Try NUM_CANDIDATES and OVERSAMPLE, and propose settings.")
@k_option
@json_option
def evaluate(captions: Path | None, queries: int, with_settings: bool, k: int, as_json: bool) -> None:
    """Measure the search: recall on captions, and agreement with exact search."""
    with show_errors():
        settings = load_settings()
        search = assembly.open_search(settings, notify=say)
        folder = settings.image_dir
        file = captions or (folder / CAPTIONS if isinstance(folder, Path) else None)
        texts = read_captions(file) if file and (captions or file.exists()) else {}
        test = evaluation.AnnTest.draw(search.index, k=k, queries=queries)
        ann = test.recall(search.thoroughness)
        report = measure_settings(test, present=search.thoroughness) if with_settings else None
        recalls = evaluation.text_recall(search, texts)
        if as_json:
            settings_json = {"ann_settings": asdict(report)} if report else {}
            recalls_json = [asdict(recall) for recall in recalls]
            print_json({"ann_recall": asdict(ann), "text_recall": recalls_json, **settings_json})
            return
        for recall in recalls:
            shares = "  ".join(f"recall@{rank} {share:.3f}" for rank, share in recall.recall_at.items())
            click.echo(f"{recall.language:>5}  {shares}  ({recall.captions} captions)")
        click.echo(f"ANN recall@{ann.k} {ann.recall:.3f}  ({ann.queries} photos as queries)")
        if report:
            print_settings(report)
        if not texts:
            say(f"No captions at {file or folder}: text search was not measured. Name a file: --captions FILE.")


def print_settings(report: AnnReport) -> None:
    """Print a row for each search that was measured, the sizes of the index, and the proposal."""
    click.echo(f"\nNUM_CANDIDATES  OVERSAMPLE  recall@{report.k:<3}  p50 ms  p95 ms")
    for row in report.measurements:
        click.echo(
            f"{row.num_candidates:14}  {row.oversample:10}  {row.recall:10.3f}  {row.p50_ms:6.1f}  {row.p95_ms:6.1f}"
            f"{'  (now)' if row is report.measurements[0] else ''}"
        )
    memory = "" if report.sizes.memory is None else f"{report.sizes.memory / 1e6:,.1f} MB of memory for embeddings, "
    click.echo(
        f"{report.vector_index_type}: {report.photos:,} photos, {memory}{report.sizes.disk / 1e6:,.1f} MB of disk"
    )
    click.echo(proposal_line(report))


def proposal_line(report: AnnReport) -> str:
    """Return a sentence with the proposed settings and what they cost."""
    values = " ".join(f"{name}={value}" for name, value in report.proposal.items())
    if not values:
        present = report.measurements[0].recall
        return (
            f"Proposal: keep the settings. {'' if present >= TARGET else 'No other search here finds more.'}".rstrip()
        )
    if "VECTOR_INDEX_TYPE" in report.proposal:
        return f"Proposal: {values}, then index --rebuild. No search here reaches a recall of {TARGET}."
    return f"Proposal: {values}. The index stays as it is; start the web app again."
