"""The commands `export parquet` and `export npy`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from image_embeddings.cli.terminal import AddressType, json_option, print_json, progress_bars, say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.embedding_files import clip_retrieval
from image_embeddings.embedding_files.folder import PART_ROWS
from image_embeddings.indexing.embedding_export import ExportReport, export_clip_retrieval, export_parquet

STOPPED = "Stopped. The folder holds no whole export: the same command begins it again."


@click.group()
def export() -> None:
    """Write the documents and embeddings of the index into files."""


@export.command()
@click.argument("folder", type=AddressType())
@click.option("--part-rows", default=PART_ROWS, show_default=True, type=click.IntRange(1), help="Documents per file.")
@json_option
def parquet(folder: Path | str, part_rows: int, as_json: bool) -> None:
    """Write Parquet files into FOLDER, which is new or empty: all that `import` needs to fill an index."""
    with show_errors(stopped=STOPPED), progress_bars("Exporting") as open_bar:
        report = export_parquet(load_settings(), folder, part_rows=part_rows, progress=open_bar, notify=say)
        _show(report, as_json=as_json)


@export.command()
@click.argument("folder", type=AddressType())
@click.option("--float32", is_flag=True, help="Embeddings of 4 bytes a number, exactly as they are, instead of 2.")
@click.option(
    "--part-rows", default=clip_retrieval.PART_ROWS, show_default=True, type=click.IntRange(1), help="Photos per file."
)
@json_option
def npy(folder: Path | str, float32: bool, part_rows: int, as_json: bool) -> None:
    """Write .npy files and tables as clip-retrieval has them into FOLDER, which is new or empty."""
    with show_errors(stopped=STOPPED), progress_bars("Exporting") as open_bar:
        report = export_clip_retrieval(
            load_settings(), folder, part_rows=part_rows, float32=float32, progress=open_bar, notify=say
        )
        _show(report, as_json=as_json)


def _show(report: ExportReport, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
        return
    click.echo(
        f"{report.documents:,} documents in {report.files} {'file' if report.files == 1 else 'files'}, "
        f"{report.bytes / 1e6:,.1f} MB: {report.folder} ({report.seconds:.1f} s)"
    )
