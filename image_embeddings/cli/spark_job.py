"""The command that `spark-submit` runs: an indexing run whose work Spark's executors do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_embeddings.cli.index_report import exit_by_report, print_report
from image_embeddings.cli.run_options import check_choices, index_options, run_options
from image_embeddings.cli.terminal import print_json, say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError
from image_embeddings.es.opening import uses_embedded_node
from image_embeddings.indexing.report import IndexReport
from image_embeddings.indexing.runs import Indexing, RunChoices
from image_embeddings.indexing.spark_stage import SparkStage
from image_embeddings.sources.choice import parse_address

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@click.command()
@click.argument("source")
@run_options(thread_count=2)
@click.option("--report", help="Folder or URL for Spark to write what became of each photo, as JSON lines.")
@click.option("--part-photos", default=500, show_default=True, type=click.IntRange(1), help="Photos of each task.")
def index_by_spark(
    source: str,
    delete_existing: bool,
    rebuild: bool,
    metadata: Path | None,
    reread: bool,
    prune: bool,
    report: str | None,
    part_photos: int,
    batch_size: int,
    chunk_size: int,
    thread_count: int,
    as_json: bool,
) -> None:
    """Index the photos of SOURCE, an address that all executors reach, such as s3://BUCKET/PREFIX."""
    check_choices(delete_existing=delete_existing, rebuild=rebuild, reread=reread)
    with show_errors():
        settings = load_settings()
        if uses_embedded_node(settings):
            raise SettingError("Executors do not reach the embedded node. Set ES_HOST to an Elasticsearch they reach.")
        spark = _session()
        try:
            runs = Indexing(
                settings,
                folder=parse_address(source),
                metadata=metadata,
                options=index_options(
                    settings, batch_size=batch_size, chunk_size=chunk_size, thread_count=thread_count
                ),
                stage=SparkStage(spark.sparkContext, part_photos=part_photos),
                notify=say,
            )
            done = runs.run(
                RunChoices(delete_existing=delete_existing, rebuild=rebuild, reread=reread, prune=prune),
                progress=lambda total: _Progress(total, say),
            )
            if report:
                _write_report(spark, done, report)
        finally:
            spark.stop()
        print_json(asdict(done)) if as_json else print_report(done)
        exit_by_report(done, delete_existing=delete_existing)


def _session() -> SparkSession:
    """Return the session of the application. Master and resources are those of spark-submit."""
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() or SparkSession.builder.appName("image-search index").getOrCreate()


class _Progress:
    """Says how far the run is, in lines for a log."""

    def __init__(self, total: int, say: Any) -> None:
        self._total, self._say, self._done, self._remark = total, say, 0, ""

    def update(self, n: float | None = 1, /) -> bool | None:
        self._done += int(n or 0)
        self._say(f"{self._done:,} of {self._total:,} photos {self._remark}".rstrip())
        return None

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        self._remark = s


def _write_report(spark: SparkSession, report: IndexReport, place: str) -> None:
    """Let Spark write the photos that were skipped or are damaged, and the counts. At the end it writes `_SUCCESS`."""
    rows = [("skipped", item.image_id, item.reason) for item in report.skipped]
    rows += [("damaged", item.image_id, item.reason) for item in report.damaged]
    rows += [("count", name, str(value)) for name, value in asdict(report).items() if type(value) is int]
    frame = spark.createDataFrame(rows, "kind string, name string, value string")
    frame.coalesce(1).write.mode("overwrite").json(place)
