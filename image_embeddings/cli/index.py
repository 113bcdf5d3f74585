"""The command `index`: one indexing run, or with --watch a run after every change."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Set
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from tqdm import tqdm

from image_embeddings.cli.import_ import import_from
from image_embeddings.cli.index_report import exit_by_report, print_change, print_report, stopped_message
from image_embeddings.cli.run_options import check_choices, index_options, run_options
from image_embeddings.cli.terminal import (
    AddressType,
    end_process,
    fail,
    finish_on_interrupt,
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
from image_embeddings.indexing.rebuilds import discard_rebuild
from image_embeddings.indexing.report import IndexOptions, IndexReport
from image_embeddings.indexing.runs import Indexing, RunChoices
from image_embeddings.indexing.share import Share, parse_share
from image_embeddings.indexing.watch import keep_up
from image_embeddings.sources.changes import FolderWatch
from image_embeddings.sources.choice import parse_address
from image_embeddings.sources.folder_source import FolderSource

PARQUET, NPY = "parquet", "npy"  # the kinds of files for --to and --from
_NUMBERS = frozenset({"batch_size", "chunk_size", "thread_count", "as_json"})  # these go with all options
# What else some options go with, and what is said otherwise.
_COMPANIONS: dict[str, tuple[Set[str], str]] = {
    "into": ({"folder", "prune"}, "--to goes with --prune and the numbers only: it writes into no index."),
    PARQUET: (
        {"rebuild", "prune"},
        "--from parquet goes with --rebuild, --prune and the numbers only: it reads no photos.",
    ),
    NPY: (
        {"folder", "delete_existing", "rebuild", "metadata", "reread", "prune"},
        "--from npy is for one run that does all of the work: leave out --to, --watch and --part.",
    ),
    "share": (
        {"folder", "rebuild", "reread", "prune"},
        "--part goes with --rebuild, --reread, --prune and the numbers only. Give --metadata to the last run, which "
        "has no --part.",
    ),
    "discard": (frozenset(), "--discard-rebuild indexes nothing: give it alone."),
}


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
@run_options(thread_count=4)
@click.option(
    "--discard-rebuild",
    "discard",
    is_flag=True,
    help="Remove what an unfinished --rebuild left, and index nothing.",
)
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C: index again whenever photos have changed.")
@click.option(
    "--to",
    "into",
    type=(click.Choice([PARQUET]), AddressType()),
    metavar="parquet FOLDER",
    help="Encode into files in that folder, without Elasticsearch, for --from.",
)
@click.option(
    "--from",
    "out_of",
    type=(click.Choice([PARQUET, NPY]), AddressType()),
    metavar="[parquet|npy] FOLDER",
    help="Take the embeddings in that folder. With parquet, this is what `import` does.",
)
@click.option(
    "--part",
    "share",
    type=ShareType(),
    help="Do only part I of N, such as 3/16, beside other processes; see docs/distributed.md.",
)
def index(
    folder: str | None,
    delete_existing: bool,
    rebuild: bool,
    discard: bool,
    metadata: Path | None,
    watch: bool,
    reread: bool,
    prune: bool,
    into: tuple[str, Path | str] | None,
    out_of: tuple[str, Path | str] | None,
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
    _check_usage(click.get_current_context())
    if discard:
        _discard_rebuild()
        return
    if out_of and out_of[0] == PARQUET:
        import_from(out_of[1], rebuild=rebuild, prune=prune, chunk_size=chunk_size, as_json=as_json)
        return
    if folder == "":
        raise click.UsageError("FOLDER is empty. Name the folder of your photos, or leave it out for IMAGE_DIR.")
    with show_errors(stopped=stopped_message(delete_existing=delete_existing)):
        settings = load_settings()
        options = index_options(settings, batch_size=batch_size, chunk_size=chunk_size, thread_count=thread_count)
        chosen = parse_address(folder) if folder else None
        if into:
            _encode_into_parquet(settings, into[1], chosen, options=options, prune=prune, as_json=as_json)
            return
        runs = Indexing(settings, folder=chosen, metadata=metadata, options=options, notify=say)
        with _watch_folder(runs) if watch else nullcontext() as changes:
            choices = RunChoices(
                delete_existing=delete_existing,
                rebuild=rebuild,
                prune=prune,
                reread=reread,
                share=share,
                embeddings=out_of[1] if out_of else None,
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


def _check_usage(context: click.Context) -> None:
    """Raise UsageError if options were typed that do not go together."""
    typed = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    check_choices(**{name: name in typed for name in ("delete_existing", "rebuild", "discard", "reread")})
    if out_of := context.params["out_of"]:
        typed = typed - {"out_of"} | {out_of[0]}
    for name, (companions, message) in _COMPANIONS.items():
        if name in typed and typed - {name} - _NUMBERS - companions:
            raise click.UsageError(message)


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
    say(f"To fill an index with them: index --from {PARQUET} {shlex.quote(str(out))}")


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
