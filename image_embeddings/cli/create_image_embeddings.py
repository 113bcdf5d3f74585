"""The command of the familiar script create-image-embeddings.py: `index` under its well-known name and flags."""

from __future__ import annotations

from pathlib import Path

import click

from image_embeddings.cli.index import run_index
from image_embeddings.cli.index_report import exit_by_report, print_report, stopped_message
from image_embeddings.cli.terminal import say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.indexing.runs import Indexing, RunChoices


@click.command("create-image-embeddings.py", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--es_host", help="Elasticsearch's address, instead of ES_HOST.")
@click.option("--es_user", help="User name, instead of ES_USER.")
@click.option("--es_password", help="Password, instead of ES_PWD.")
@click.option("--ca_certs", type=click.Path(path_type=Path), help="CA certificate file, instead of ES_CA_CERTS.")
@click.option("--verify_certs/--no-verify_certs", default=None, help="Whether the certificate is verified.")
@click.option("--thread_count", default=4, show_default=True, type=click.IntRange(1), help="Threads that read photos.")
@click.option("--chunk_size", default=500, show_default=True, type=click.IntRange(1), help="Documents per request.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds a request may take.")
@click.option("--delete_existing/--no-delete_existing", default=False, help="Build the index anew.")
@click.option(
    "--extract_GPS_location/--no-extract_GPS_location",
    "gps",
    default=True,
    show_default=True,
    help="Store where photos were taken, from their EXIF.",
)
def create_image_embeddings(
    es_host: str | None,
    es_user: str | None,
    es_password: str | None,
    ca_certs: Path | None,
    verify_certs: bool | None,
    thread_count: int,
    chunk_size: int,
    timeout: float,
    delete_existing: bool,
    gps: bool,
) -> None:
    """Index the photos of IMAGE_DIR; the same as `python -m image_embeddings index`."""
    with show_errors(stopped=stopped_message(delete_existing=delete_existing)):
        settings = load_settings(
            es_host=es_host, es_user=es_user, es_pwd=es_password, es_ca_certs=ca_certs, es_verify_certs=verify_certs
        )
        options = IndexOptions(
            chunk_size=chunk_size, thread_count=thread_count, max_pixels=settings.max_image_pixels, with_location=gps
        )
        runs = Indexing(settings, options=options, timeout=timeout, notify=say)
        report = run_index(runs, RunChoices(delete_existing=delete_existing))
        print_report(report)
        exit_by_report(report, delete_existing=delete_existing)
