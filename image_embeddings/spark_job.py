"""Index photos on a Spark cluster: `spark-submit --py-files image_search.zip spark_job.py SOURCE`.

Exit status: 0 done, 1 failed, 2 wrong usage. docs/distributed.md says how to submit it.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from image_embeddings.indexing.report import IndexReport


@click.command()
@click.argument("source")
@click.option("--rebuild", is_flag=True, help="Fill a new index beside the old one, which answers until it is full.")
@click.option("--reread", is_flag=True, help="Read again what all photos say of themselves; keep their embeddings.")
@click.option("--prune", is_flag=True, help="Remove photos that are gone even if they are most of the index.")
@click.option(
    "--metadata",
    type=click.Path(path_type=Path),
    help="CSV of file, label, caption and any columns, for the documents.",
)
@click.option("--report", help="Folder or URL for Spark to write what became of each photo, as JSON lines.")
@click.option("--part-photos", default=500, show_default=True, type=click.IntRange(1), help="Photos of each task.")
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1), help="Images per encode call.")
@click.option("--thread-count", default=2, show_default=True, type=click.IntRange(1), help="Threads that read photos.")
def main(
    source: str,
    rebuild: bool,
    reread: bool,
    prune: bool,
    metadata: Path | None,
    report: str | None,
    part_photos: int,
    batch_size: int,
    thread_count: int,
) -> None:
    """Index the photos of SOURCE, an address that all executors reach, such as s3://BUCKET/PREFIX."""
    from image_embeddings.cli.index_report import exit_by_report, print_report
    from image_embeddings.cli.terminal import say, show_errors
    from image_embeddings.config import load_settings
    from image_embeddings.errors import SettingError
    from image_embeddings.es.opening import uses_embedded_node
    from image_embeddings.indexing.report import IndexOptions
    from image_embeddings.indexing.runs import Indexing, RunChoices
    from image_embeddings.indexing.spark_stage import SparkStage
    from image_embeddings.sources.choice import parse_address

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
                options=IndexOptions(
                    batch_size=batch_size, thread_count=thread_count, max_pixels=settings.max_image_pixels
                ),
                stage=SparkStage(spark.sparkContext, part_photos=part_photos),
                notify=say,
            )
            done = runs.run(
                RunChoices(rebuild=rebuild, reread=reread, prune=prune), progress=lambda total: _Progress(total, say)
            )
            if report:
                _write_report(spark, done, report)
        finally:
            spark.stop()
        print_report(done)
        exit_by_report(done)


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


if __name__ == "__main__":
    # Spark puts the folder of this file first, where modules of ours have common names.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    from image_embeddings.spark_job import main as job

    job(prog_name="spark_job.py")
