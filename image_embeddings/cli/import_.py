"""The command `import`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from image_embeddings.cli.index_report import SKIPPED_SHOWN
from image_embeddings.cli.terminal import (
    AddressType,
    fail,
    finish_on_interrupt,
    json_option,
    print_json,
    progress_bars,
    say,
    show_errors,
)
from image_embeddings.config import load_settings
from image_embeddings.indexing.embedding_import import ImportReport, import_embeddings
from image_embeddings.indexing.report import IndexOptions

STOPPED = "Stopped. What was written stays; the same command goes on from there."


@click.command("import")
@click.argument("folder", type=AddressType())
@click.option("--rebuild", is_flag=True, help="Fill a new index beside the old one, which answers until it is full.")
@click.option("--prune", is_flag=True, help="Replace the old index even if it holds photos that FOLDER lacks.")
@click.option("--chunk-size", default=500, show_default=True, type=click.IntRange(1), help="Documents per request.")
@json_option
def import_(folder: Path | str, rebuild: bool, prune: bool, chunk_size: int, as_json: bool) -> None:
    """Fill an index with the embeddings in FOLDER, which `export parquet` wrote.

    Nothing is encoded, and no photo is read. An import that was interrupted goes on.
    """
    import_from(folder, rebuild=rebuild, prune=prune, chunk_size=chunk_size, as_json=as_json)


def import_from(folder: Path | str, *, rebuild: bool, prune: bool, chunk_size: int, as_json: bool) -> None:
    """Fill an index with the embeddings in a folder, print the report, and exit with 1 if some are left."""
    if prune and not rebuild:
        raise click.UsageError("--prune is for --rebuild: a new index has nothing to lose.")
    with show_errors(stopped=STOPPED), progress_bars("Importing") as open_bar, finish_on_interrupt(STOPPED) as stop:
        report = import_embeddings(
            load_settings(),
            folder,
            rebuild=rebuild,
            prune=prune,
            options=IndexOptions(chunk_size=chunk_size),
            progress=open_bar,
            stopped=stop.is_set,
            notify=say,
        )
        if as_json:
            print_json(asdict(report))
        else:
            _show(report)
    if report.waiting:
        fail(report.waiting)
    if report.stopped:
        fail(f"{STOPPED} {report.left:,} documents are left.")


def _show(report: ImportReport) -> None:
    before = f", {report.done_before:,} written before" if report.done_before else ""
    skipped = f", {len(report.skipped):,} skipped" if report.skipped else ""
    click.echo(f"{report.documents:,} documents: {report.written:,} written{before}{skipped} ({report.seconds:.1f} s)")
    for item in report.skipped[:SKIPPED_SHOWN]:
        say(f"skipped {item.image_id!r}: {item.reason}")
