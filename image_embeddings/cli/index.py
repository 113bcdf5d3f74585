"""The command `index`: one indexing run, or with --watch a run after every change."""

from __future__ import annotations

import shlex
import signal
import threading
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from image_embeddings.cli.index_report import exit_by_report, print_change, print_report, stopped_message
from image_embeddings.cli.terminal import (
    AddressType,
    end_process,
    fail,
    finish_on_interrupt,
    json_option,
    on_interrupt,
    print_json,
    progress_bar,
    progress_bars,
    say,
    show_errors,
)
from image_embeddings.config import IS_CLONE, Settings, load_settings
from image_embeddings.errors import ImageSearchError, SettingError
from image_embeddings.indexing.parquet_run import encode_into_parquet
from image_embeddings.indexing.report import IndexOptions, IndexReport
from image_embeddings.indexing.runs import Indexing, RunChoices, discard_rebuild
from image_embeddings.indexing.share import Share, parse_share
from image_embeddings.indexing.watch import keep_up
from image_embeddings.sources.changes import FolderWatch
from image_embeddings.sources.choice import parse_address
from image_embeddings.sources.folder_source import FolderSource


class ShareType(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.3
    """The type of `--part`."""

    name = "i/n"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Share:
        """Return the share that was typed."""
        try:
            return parse_share(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


@click.command()
@click.argument("folder", required=False)
@click.option("--delete-existing", is_flag=True, help="Build the index anew, for another model say.")
@click.option("--rebuild", is_flag=True, help="Fill a new index beside the old one, which answers until it is full.")
@click.option(
    "--discard-rebuild",
    "discard",
    is_flag=True,
    help="Remove what an unfinished --rebuild left, and index nothing.",
)
@click.option(
    "--metadata",
    type=click.Path(path_type=Path),
    help="CSV of file, label, caption and any columns, for the documents.",
)
@click.option(
    "--embeddings",
    type=AddressType(),
    help="Take embeddings of new photos from files in clip-retrieval's layout in this folder.",
)
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C: index again whenever photos have changed.")
@click.option("--reread", is_flag=True, help="Read again what all photos say of themselves; keep their embeddings.")
@click.option("--prune", is_flag=True, help="Remove photos that are gone even if they are most of the index.")
@click.option(
    "--to-parquet",
    type=AddressType(),
    help="Encode into Parquet files in this folder, without Elasticsearch, for `import`.",
)
@click.option(
    "--part",
    "share",
    type=ShareType(),
    help="Do only part I of N, such as 3/16, beside other processes; see docs/distributed.md.",
)
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1), help="Images per encode call.")
@click.option("--chunk-size", default=500, show_default=True, type=click.IntRange(1), help="Documents per request.")
@click.option("--thread-count", default=4, show_default=True, type=click.IntRange(1), help="Threads that read photos.")
@json_option
def index(
    folder: str | None,
    delete_existing: bool,
    rebuild: bool,
    discard: bool,
    metadata: Path | None,
    embeddings: Path | str | None,
    watch: bool,
    reread: bool,
    prune: bool,
    to_parquet: Path | str | None,
    share: Share | None,
    batch_size: int,
    chunk_size: int,
    thread_count: int,
    as_json: bool,
) -> None:
    """Index the photos of FOLDER (default: IMAGE_DIR).

    FOLDER may also be an address such as s3://BUCKET/PREFIX.

    Afterwards the index holds exactly these photos: new and changed ones are encoded, others that are gone are removed.
    """
    _check_usage(
        delete_existing=delete_existing,
        rebuild=rebuild,
        discard=discard,
        reread=reread,
        to_files=bool(to_parquet),
        for_index_only=bool(metadata or embeddings or watch or share),
        embeddings_in_vain=bool(embeddings and (watch or share or discard)),
    )
    if share and (delete_existing or discard or metadata or watch):
        raise click.UsageError(
            "--part goes with --rebuild, --reread, --prune and the numbers only. Give --metadata to the last run, "
            "which has no --part."
        )
    if discard:
        if folder or metadata or watch or reread or prune:
            raise click.UsageError("--discard-rebuild indexes nothing: give it alone.")
        _discard_rebuild()
        return
    if folder == "":
        raise click.UsageError("FOLDER is empty. Name the folder of your photos, or leave it out for IMAGE_DIR.")
    with show_errors(stopped=stopped_message(delete_existing=delete_existing)):
        settings = load_settings()
        options = IndexOptions(
            batch_size=batch_size,
            chunk_size=chunk_size,
            thread_count=thread_count,
            max_pixels=settings.max_image_pixels,
        )
        chosen = parse_address(folder) if folder else None
        if to_parquet:
            _encode_into_parquet(settings, to_parquet, chosen, options=options, prune=prune, as_json=as_json)
            return
        runs = Indexing(settings, folder=chosen, metadata=metadata, options=options, notify=say)
        with _watch_folder(runs) if watch else nullcontext() as changes:
            choices = RunChoices(
                delete_existing=delete_existing,
                rebuild=rebuild,
                prune=prune,
                reread=reread,
                share=share,
                embeddings=embeddings,
            )
            report = run_index(runs, choices)
            if as_json:
                print_json(asdict(report), in_one_line=watch)
            else:
                print_report(report)
            exit_by_report(report, is_only_run=not watch, delete_existing=delete_existing)
            if share:
                say(f"To end the work after all {share.of} parts: {_last_command(chosen, choices)}")
            elif chosen and chosen != settings.image_dir and report.written:
                name = shlex.quote(str(chosen))
                how = f"set IMAGE_DIR={name} (or: make run PHOTOS={name})" if IS_CLONE else "image-search serve"
                say(f"To see them in the browser: {how}.")
            if changes:
                _index_changes(runs, changes, before=report, as_json=as_json)


def _check_usage(
    *,
    delete_existing: bool,
    rebuild: bool,
    discard: bool,
    reread: bool,
    to_files: bool,
    for_index_only: bool,
    embeddings_in_vain: bool,
) -> None:
    if delete_existing + rebuild + discard > 1:
        raise click.UsageError("Give one of --delete-existing, --rebuild and --discard-rebuild.")
    if reread and (delete_existing or rebuild):
        raise click.UsageError("A new index reads all photos in any case: leave out --reread.")
    if to_files and (delete_existing or rebuild or discard or reread or for_index_only):
        raise click.UsageError("--to-parquet goes with --prune and the numbers only: it writes into no index.")
    if embeddings_in_vain:
        raise click.UsageError("--embeddings goes with a single run: leave out --watch, --part and --discard-rebuild.")


def _encode_into_parquet(
    settings: Settings, out: Path | str, folder: Path | str | None, *, options: IndexOptions, prune: bool, as_json: bool
) -> None:
    with progress_bars("Encoding") as open_bar, finish_on_interrupt(stopped_message()) as stop:
        report = encode_into_parquet(
            settings,
            out,
            folder=folder,
            prune=prune,
            options=options,
            progress=open_bar,
            stopped=stop.is_set,
            notify=say,
        )
    print_json(asdict(report)) if as_json else print_report(report)
    exit_by_report(report)
    say(f"To fill an index with them: import {shlex.quote(str(out))}")


def _discard_rebuild() -> None:
    with show_errors():
        was_there = discard_rebuild(load_settings())
        click.echo("The unfinished index is removed" if was_there else "There was no unfinished index")


def _last_command(chosen: Path | str | None, choices: RunChoices) -> str:
    words = ["index", *([shlex.quote(str(chosen))] if chosen else []), *(["--rebuild"] if choices.rebuild else [])]
    return " ".join([*words, *(["--prune"] if choices.prune else [])])


def run_index(runs: Indexing, choices: RunChoices | None = None, *, leave_bar: bool = True) -> IndexReport:
    """Return the report of an indexing run that shows a progress bar.

    Once the run is under way, the first Ctrl-C or SIGTERM lets it finish the work in hand; the second ends it at once.
    """
    choices = choices or RunChoices()
    bars: list[tqdm[Any]] = []
    stop = threading.Event()

    def finish(number: int, frame: object) -> None:
        if stop.is_set():
            end_process(stopped_message(delete_existing=choices.delete_existing))
        stop.set()
        say("Stopping: what is under way is still written. Once more ends it at once.")

    def open_bar(total: int) -> tqdm[Any]:
        on_interrupt(finish)
        bars.append(progress_bar(total, what="Indexing", unit=" photos", leave=leave_bar))
        return bars[-1]

    try:
        return runs.run(choices, progress=open_bar, stopped=stop.is_set)
    except ImageSearchError as error:
        if stop.is_set():
            fail(str(error))
        raise
    finally:
        on_interrupt(signal.default_int_handler)
        for bar in bars:
            bar.close()


def _watch_folder(runs: Indexing) -> FolderWatch:
    source = runs.source
    if not isinstance(source, FolderSource):
        raise SettingError(
            f"Only a folder of this machine can be watched, and {source.address} is none. Run index from time to time."
        )
    return FolderWatch(
        source.folder, leave_out=source.leave_out, exclude=source.exclude, also=runs.metadata, notify=say
    )


def _index_changes(runs: Indexing, changes: FolderWatch, *, before: IndexReport, as_json: bool) -> None:
    """Run again after each change, and print only results that no earlier run has printed; return at Ctrl-C."""
    skipped_before, faults_before = frozenset(before.skipped), frozenset(before.sidecar_faults)
    try:
        say(f"Watching {runs.source.address} for changes. Ctrl-C ends it.")
        for report in keep_up(lambda: run_index(runs, leave_bar=False), changes=changes, notify=say):
            news = replace(
                report,
                skipped=[item for item in report.skipped if item not in skipped_before],
                sidecar_faults=[item for item in report.sidecar_faults if item not in faults_before],
            )
            skipped_before, faults_before = frozenset(report.skipped), frozenset(report.sidecar_faults)
            if news.written or news.skipped or news.sidecar_faults:
                print_json(asdict(news), in_one_line=True) if as_json else print_change(news)
            exit_by_report(report, is_only_run=False)
    except KeyboardInterrupt:
        say("Ended: the folder is watched no longer.")
