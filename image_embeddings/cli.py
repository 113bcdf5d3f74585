"""The commands; the only module that prints and exits. Exit status: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
from tqdm import tqdm

from image_embeddings import assembly, evaluation
from image_embeddings.config import IS_CLONE, Settings, hush_profiler, load_settings, share_cores
from image_embeddings.documents import SearchResult
from image_embeddings.embedded_node.node import SETTLING_SECONDS
from image_embeddings.errors import ElasticsearchError, ImageSearchError, IndexMissingError, QueryError
from image_embeddings.es import opening
from image_embeddings.es.filters import Filters
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.indexing.runs import Indexing, discard_rebuild, how_to_go_on
from image_embeddings.indexing.watch import keep_up
from image_embeddings.indexing.writer import IndexOptions, IndexReport
from image_embeddings.log_format import printable
from image_embeddings.photos import decoding
from image_embeddings.serving import web_server
from image_embeddings.sources.captions_file import CAPTIONS, read_captions
from image_embeddings.sources.changes import FolderWatch
from image_embeddings.text_model import setup
from image_embeddings.text_model.choice import ELASTICSEARCH
from image_embeddings.text_model.model import STATUS, TextModelStatus

SHOWN_SKIPS = 20
STOPPED = "Stopped."

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_k_option = click.option("-k", default=10, show_default=True, help="Photos wanted.")


def _say(line: str) -> None:
    """Prints a line for the person at the terminal, away from what programs read."""
    click.echo(printable(line, plain="\n"), err=True)


def _print_json(value: Any, *, in_one_line: bool = False) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=None if in_one_line else 2))


def _fail(message: str) -> NoReturn:
    _say(f"Error: {message}")
    sys.exit(1)


@contextmanager
def _errors_shown(*, stopped: str = STOPPED) -> Iterator[None]:
    """Prints our errors as one line and exits with 1; Ctrl-C and SIGTERM at once, with the line `stopped`."""
    share_cores()
    _at_interrupt(partial(_end, stopped))
    try:
        yield
    except ImageSearchError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail(stopped)


def _end(message: str, *signalled: object) -> None:
    """Ends the process now; libraries take an exception for a fault of theirs, and threads may wait for ever.

    Nothing is lost by it: all that is kept is written so that a kill does no harm.
    """
    os.write(sys.stderr.fileno(), f"Error: {message}\n".encode())  # click may be in the middle of a line
    os._exit(1)


def _at_interrupt(handler: Callable[..., Any]) -> None:
    """What Ctrl-C and SIGTERM do from now on; `make run` and containers send the latter."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Index photos and search them by text or image.

    Settings come from the environment and the file .env: see .env.example.
    """


@main.command()
@click.argument("folder", required=False)
@click.option("--delete-existing", is_flag=True, help="Build the index anew, for another model say.")
@click.option("--rebuild", is_flag=True, help="Fill a new index beside the old one, which answers until it is full.")
@click.option("--discard-rebuild", is_flag=True, help="Remove what an unfinished --rebuild left, and index nothing.")
@click.option(
    "--metadata",
    type=click.Path(path_type=Path),
    help="CSV of file, label, caption and any columns, for the documents.",
)
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C: index again whenever photos have changed.")
@click.option("--prune", is_flag=True, help="Remove photos that are gone even if they are most of the index.")
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1), help="Images per encode call.")
@click.option("--chunk-size", default=500, show_default=True, type=click.IntRange(1), help="Documents per request.")
@click.option("--thread-count", default=4, show_default=True, type=click.IntRange(1), help="Threads that read photos.")
@_json_option
def index(
    folder: str | None,
    delete_existing: bool,
    rebuild: bool,
    discard_rebuild: bool,
    metadata: Path | None,
    watch: bool,
    prune: bool,
    batch_size: int,
    chunk_size: int,
    thread_count: int,
    as_json: bool,
) -> None:
    """Index the photos of FOLDER (default: IMAGE_DIR).

    Afterwards the index holds exactly these photos: new and changed ones are encoded, others that are gone are removed.
    """
    if delete_existing + rebuild + discard_rebuild > 1:
        raise click.UsageError("Give one of --delete-existing, --rebuild and --discard-rebuild.")
    if discard_rebuild:
        if folder or metadata or watch or prune:
            raise click.UsageError("--discard-rebuild indexes nothing: give it alone.")
        _discard_rebuild()
        return
    if folder == "":
        raise click.UsageError("FOLDER is empty. Name the folder of your photos, or leave it out for IMAGE_DIR.")
    choices = {"delete_existing": delete_existing, "rebuild": rebuild, "prune": prune}
    with _errors_shown(stopped=how_stopped(**choices)):
        settings = load_settings()
        options = IndexOptions(
            batch_size=batch_size,
            chunk_size=chunk_size,
            thread_count=thread_count,
            max_pixels=settings.max_image_pixels,
        )
        named = Path(folder).expanduser().absolute() if folder else None
        runs = Indexing(settings, folder=named, metadata=metadata, options=options, notify=_say)
        with _changes(runs) if watch else nullcontext() as changes:
            report = run_index(runs, **choices)
            if as_json:
                _print_json(asdict(report), in_one_line=watch)
            else:
                show_report(report)
            exit_by(report, failed=not watch, **choices)
            if named and named != settings.image_dir and report.written:
                name = shlex.quote(str(named))
                how = f"set IMAGE_DIR={name} (or: make run PHOTOS={name})" if IS_CLONE else "image-search serve"
                _say(f"To see them in the browser: {how}.")
            if changes:
                _index_changes(runs, changes, before=report, as_json=as_json)


def _discard_rebuild() -> None:
    with _errors_shown():
        found = discard_rebuild(load_settings())
        click.echo("The unfinished index is removed" if found else "There was no unfinished index")


def run_index(runs: Indexing, *, bar_stays: bool = True, **choices: bool) -> IndexReport:
    """An indexing run with a progress bar, which stays away where nobody looks.

    Once it is under way, Ctrl-C and SIGTERM have it finish what it has in hand; a second time they end it at once.
    """
    bars: list[tqdm[Any]] = []
    stop = threading.Event()

    def finish(number: int, frame: object) -> None:
        if stop.is_set():
            _end(how_stopped(**choices))
        stop.set()
        _say("Stopping: what is under way is still written. Once more ends it at once.")

    def bar(total: int) -> tqdm[Any]:
        _at_interrupt(finish)
        quiet = not total or not sys.stderr.isatty()
        bars.append(tqdm(total=total, unit=" photos", desc="Indexing", disable=quiet, leave=bar_stays))
        return bars[-1]

    try:
        return runs.run(progress=bar, stopped=stop.is_set, **choices)
    except ImageSearchError as error:
        if stop.is_set():
            _fail(str(error))
        raise
    finally:
        _at_interrupt(signal.default_int_handler)
        for opened in bars:
            opened.close()


def how_stopped(*, delete_existing: bool = False, left: int = 0, **_: bool) -> str:
    """What is to be said of an indexing run that was stopped, with so many photos left if that is known."""
    without = " without --delete-existing" if delete_existing else ""
    photos = f" with {left:,} photos left" if left else ""
    return f"Stopped{photos}. What was indexed stays; the same command{without} goes on from there."


def _changes(runs: Indexing) -> FolderWatch:
    """What is to be watched for these runs."""
    return FolderWatch(runs.folder, leave_out=runs.settings.data_dir, also=runs.metadata, notify=_say)


def _index_changes(runs: Indexing, changes: FolderWatch, *, before: IndexReport, as_json: bool) -> None:
    """Runs again whenever something has changed, and shows what was not shown before; comes back at Ctrl-C."""
    skipped = frozenset(before.skipped)
    try:
        _say(f"Watching {runs.folder} for changes. Ctrl-C ends it.")
        for report in keep_up(lambda: run_index(runs, bar_stays=False), changes=changes, notify=_say):
            news = replace(report, skipped=[found for found in report.skipped if found not in skipped])
            skipped = frozenset(report.skipped)
            if news.written or news.skipped:
                _print_json(asdict(news), in_one_line=True) if as_json else _show_news(news)
            exit_by(report, failed=False)
    except KeyboardInterrupt:
        _say("Ended: the folder is watched no longer.")


def show_report(report: IndexReport) -> None:
    """Prints what an indexing run did, with each file that was skipped, why, and what to do."""
    click.echo(f"{report.found} photos: {_counts(report)} ({report.seconds:.1f} s)")
    _show_skipped(report)


def _show_news(report: IndexReport) -> None:
    """Prints in short what a run of many did."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    click.echo(f"{now}  {_counts(report, in_short=True)}: {report.found} photos ({report.seconds:.1f} s)")
    _show_skipped(report)


def _counts(report: IndexReport, *, in_short: bool = False) -> str:
    counts = {
        "encoded": report.encoded,
        "renamed or copied": report.reused,
        "unchanged": 0 if in_short else report.unchanged,
        "described anew": report.described,
        "removed": report.deleted - report.moved,
        "skipped": len(report.skipped),
    }
    said = {what: count for what, count in counts.items() if count or not (in_short or what == "described anew")}
    return ", ".join(f"{count} {what}" for what, count in said.items())


def _show_skipped(report: IndexReport) -> None:
    for skipped in report.skipped[:SHOWN_SKIPS]:
        _say(f"skipped {skipped.image_id!r}: {skipped.reason}")
    if len(report.skipped) > SHOWN_SKIPS:
        _say(f"… and {len(report.skipped) - SHOWN_SKIPS} more: --json lists them all")


def exit_by(report: IndexReport, *, failed: bool = True, **choices: bool) -> None:
    """Exits with 1 where a run was stopped, a rebuild waits, or, if that counts as failed, every photo was skipped."""
    if report.waiting:
        _fail(f"Stopped. {report.waiting}" if report.stopped else report.waiting)
    if report.stopped:
        _fail(how_stopped(**choices, left=report.left))
    if failed and report.skipped and not report.indexed:
        _fail("No photo could be indexed; the reasons stand above.")


@main.command()
@click.argument("text", required=False)
@click.option("--image", type=click.Path(path_type=Path), help="Search by this image file.")
@click.option("--like", "image_id", help="Search by a photo of the index, by its image_id.")
@_k_option
@click.option("--offset", default=0, show_default=True, help="Photos to pass over.")
@click.option("--folder", help="Only photos of this folder of the corpus.")
@_json_option
def search(
    text: str | None, image: Path | None, image_id: str | None, k: int, offset: int, folder: str | None, as_json: bool
) -> None:
    """Find photos by TEXT in any language, or by an image."""
    if sum(query is not None for query in (text, image, image_id)) != 1:
        raise click.UsageError("Give one query: TEXT, or --image FILE, or --like IMAGE_ID.")
    with _errors_shown():
        settings = load_settings()
        filters = Filters(values={"folder": (folder,)} if folder else {})
        opened = assembly.open_search(settings, notify=_say)
        if text is not None:
            result = opened.by_text(text, k=k, offset=offset, filters=filters)
        elif image is not None:
            result = opened.by_image(_query_image(image, settings), k=k, offset=offset, filters=filters)
        else:
            result = opened.like(str(image_id), k=k, offset=offset, filters=filters)
        _show_result(result, as_json=as_json)


def _query_image(path: Path, settings: Settings) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise QueryError(f"{path} cannot be opened ({error.strerror}).") from error
    return decoding.decode(data, max_pixels=settings.max_image_pixels, what=str(path)).image


def _show_result(result: SearchResult, *, as_json: bool) -> None:
    if as_json:
        hits = [
            {
                "image_id": hit.image_id,
                "rank": hit.rank,
                "similarity": round(hit.similarity or 0, 4),
                "score": round(hit.score or 0, 4),
            }
            for hit in result.hits
        ]
        _print_json(
            {
                "hits": hits,
                "total": result.total,
                "model_id": result.model_id,
                "text_encoder": result.text_encoder,
                "text_model_id": result.text_model_id,
                "note": result.note,
                "took_ms": result.took_ms,
            }
        )
        return
    for hit in result.hits:
        click.echo(f"{hit.rank:4}  {hit.similarity:6.3f}  {printable(hit.image_id)}")
    by_whom = " (text encoded in Elasticsearch)" if result.text_encoder == ELASTICSEARCH else ""
    _say(f"{len(result.hits)} of {result.total} photos, by {result.model_id}{by_whom}")
    if result.note:
        _say(f"Note: {result.note}")


@main.command()
@_json_option
def status(as_json: bool) -> None:
    """Show what is indexed, where, and with which model."""
    with _errors_shown():
        settings = load_settings()
        found = _status(settings)
        if as_json:
            _print_json(found)
        else:
            text_encoder = found.pop("text_encoder", None)
            if text_encoder:
                found["text_encoder"] = f"{text_encoder['used'] or 'none'}: {text_encoder['why']}"
            for name, value in found.items():
                click.echo(f"{name:>14}  {value}")


def _status(settings: Settings) -> dict[str, Any]:
    search = assembly.open_search(settings, notify=_say)
    opened = search.index
    found: dict[str, Any] = {
        "elasticsearch": ".".join(map(str, opened.cluster.server_version())),
        "embedded_node": opening.uses_local_node(settings),
        "address": opened.cluster.address,
        "index": settings.index_name,
        "image_dir": str(settings.image_dir),
    }
    try:
        state = opened.state()
    except IndexMissingError as error:
        return {**found, "photos": 0, "note": str(error)}
    if state.corpus:
        found["indexed_folder"] = state.corpus
    found |= {"model": state.model.model_id, "dims": state.model.dims, "photos": opened.count()}
    found["text_encoder"] = search.text_encoder()
    found |= _rebuild(opened)
    if state.indexing:
        age = int(time.time()) - int(state.indexing["updated"])
        when = f"stopped {age} s ago" if state.indexing.get("stopped") else f"{age} s ago"
        found["indexing"] = f"{state.indexing['done']} of {state.indexing['total']} photos, {when}"
    return found


def _rebuild(index: ImageIndex) -> dict[str, str]:
    try:
        state = index.rebuild.state()
    except IndexMissingError:
        return {}
    try:
        photos = f"{index.rebuild.count()} photos so far"
    except ElasticsearchError as error:
        photos = f"cannot be read just now ({error})"
    folder = state.corpus or "FOLDER"
    return {"rebuild": f"{photos}, by {state.model.model_id}. {how_to_go_on(folder)}"}


@main.command()
@click.option(
    "--captions", type=click.Path(path_type=Path), help="CSV of image_id, language, caption.  [IMAGE_DIR/captions.csv]"
)
@click.option("--queries", default=100, show_default=True, type=click.IntRange(1), help="Photos drawn as queries.")
@_k_option
@_json_option
def evaluate(captions: Path | None, queries: int, k: int, as_json: bool) -> None:
    """Measure the search: recall on captions, and agreement with exact search."""
    with _errors_shown():
        settings = load_settings()
        search = assembly.open_search(settings, notify=_say)
        file = captions or settings.image_dir / CAPTIONS
        texts = read_captions(file) if captions or file.exists() else {}
        ann = evaluation.ann_recall(search.index, k=k, queries=queries)
        recalls = evaluation.text_recall(search, texts)
        if as_json:
            _print_json({"ann_recall": asdict(ann), "text_recall": [asdict(recall) for recall in recalls]})
            return
        for recall in recalls:
            shares = "  ".join(f"recall@{rank} {share:.3f}" for rank, share in recall.recall_at.items())
            click.echo(f"{recall.language:>5}  {shares}  ({recall.captions} captions)")
        click.echo(f"ANN recall@{ann.k} {ann.recall:.3f}  ({ann.queries} photos as queries)")
        if not texts:
            _say(f"No captions at {file}: text search was not measured.")


@main.group("text-model")
def text_model() -> None:
    """Run the text model inside Elasticsearch, on a cluster with machine learning."""


@text_model.command()
@click.option("--model", metavar="NAME_OR_FOLDER", help="The model.  [TEXT_MODEL, or the one made for the image model]")
@click.option("--quantize", is_flag=True, help="8-bit weights: less memory, faster, almost the same embeddings.")
@click.option("--clear-previous", is_flag=True, help="Replace one of that id, or the rest of an upload.")
def install(model: str | None, quantize: bool, clear_previous: bool) -> None:
    """Load the text model into Elasticsearch and start it; one that is there already is only started."""
    with _errors_shown(stopped=f"Stopped. What is there now, and how to go on, says: {STATUS}"):
        hush_profiler()
        status = setup.install_text_model(
            load_settings(), model=model, quantize=quantize, clear_previous=clear_previous, notify=_say
        )
        click.echo(_described(status))


@text_model.command("status")
@_json_option
def text_model_status(as_json: bool) -> None:
    """Say whether the text model is started, or what to do about it; exits with 1 where it is not."""
    with _errors_shown():
        status = setup.text_model_status(load_settings())
        if as_json:
            _print_json({**asdict(status), "advice": str(status.error or "")})
        else:
            click.echo(_described(status))
        sys.exit(1 if status.error else 0)


def _described(status: TextModelStatus) -> str:
    if status.error:
        return f"{status.state}: {status.error}"
    return f"{status.state}: Elasticsearch encodes texts with '{status.model_id}' (TEXT_ENCODER=auto or elasticsearch)."


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 lets others in.")
@click.option("--port", default=5001, show_default=True, type=click.IntRange(1, 65535), help="Port to listen at.")
def serve(host: str, port: int) -> None:
    """Serve the web app until Ctrl-C.

    If IMAGE_DIR is not set, the photos are those of the folder that was indexed last.
    """
    with _errors_shown():
        web_server.serve(load_settings(), host=host, port=port, notify=_say)


@main.group()
def node() -> None:
    """Start and stop the embedded Elasticsearch node."""


@node.command()
def start() -> None:
    """Start it, unless it runs."""
    with _errors_shown():
        local_node = opening.local_node(load_settings())
        running = local_node.start(notify=_say)
        local_node.keep()
        click.echo(f"Elasticsearch runs at {running.url} (process {running.pid})")


@node.command()
@click.option("--if-unused", is_flag=True, help="Not while a web app or an indexing run is connected.")
def stop(if_unused: bool) -> None:
    """Stop it and wait until it is gone; its data stays."""
    with _errors_shown():
        local_node = opening.local_node(load_settings())
        stopped = local_node.stop(unless_used_within=SETTLING_SECONDS if if_unused else None)
        runs_on = "Elasticsearch is in use and runs on" if local_node.status() else "Elasticsearch was not running"
        click.echo("Elasticsearch has stopped" if stopped else runs_on)


@node.command("status")
@click.option("--unused", is_flag=True, help="Exit with 1 also where somebody is connected.")
@_json_option
def node_status(unused: bool, as_json: bool) -> None:
    """Say whether it runs, and where; exits with 1 where it does not."""
    with _errors_shown():
        local_node = opening.local_node(load_settings())
        running = local_node.status()
        if as_json:
            place = {"url": running.url, "pid": running.pid, "in_use": local_node.in_use()} if running else {}
            _print_json({"running": running is not None, **place})
        elif running:
            click.echo(f"Elasticsearch runs at {running.url} (process {running.pid})")
        else:
            click.echo("Elasticsearch is not running")
        sys.exit(1 if running is None or (unused and local_node.in_use()) else 0)


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
    with _errors_shown(stopped=how_stopped(delete_existing=delete_existing)):
        settings = load_settings(
            es_host=es_host, es_user=es_user, es_pwd=es_password, es_ca_certs=ca_certs, es_verify_certs=verify_certs
        )
        options = IndexOptions(
            chunk_size=chunk_size, thread_count=thread_count, max_pixels=settings.max_image_pixels, with_location=gps
        )
        runs = Indexing(settings, options=options, timeout=timeout, notify=_say)
        report = run_index(runs, delete_existing=delete_existing)
        show_report(report)
        exit_by(report, delete_existing=delete_existing)
