"""Why the last indexing run failed, kept in DATA_DIR so that the web app can say it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from image_embeddings.config import Settings
from image_embeddings.data_dir import make_data_dir
from image_embeddings.errors import ImageSearchError, IndexBusyError
from image_embeddings.indexing.report import IndexReport

MAX_LENGTH = 2_000  # characters of a reason


def file_beside_index(settings: Settings, suffix: str) -> Path:
    """Return the path of a file in DATA_DIR that belongs to the index of the settings alone."""
    target = f"{settings.es_host}|{settings.es_cloud_id}|{settings.index_name}"
    return settings.data_dir / f"index-{hashlib.sha256(target.encode()).hexdigest()[:12]}{suffix}"


def read_indexing_failure(settings: Settings) -> str:
    """Return why the last indexing run from this DATA_DIR failed, in a sentence or two; empty if it did not."""
    try:
        return _file(settings).read_text(encoding="utf-8", errors="replace")[:MAX_LENGTH].strip()
    except OSError:  # there is none, or another user may not read it
        return ""


def note_outcome(settings: Settings, report: IndexReport) -> None:
    """Keep the reason if a run could index no photo. Otherwise remove the reason of an earlier failure."""
    if report.skipped and not report.indexed:
        first = report.skipped[0]
        _note(settings, f"No photo could be indexed. The first one: {first.image_id!r} {first.reason}.")
        return
    with suppress(OSError):
        _file(settings).unlink(missing_ok=True)


@contextmanager
def note_errors(settings: Settings) -> Iterator[None]:
    """Note an error that ends a run. Another run that is under way notes its own."""
    try:
        yield
    except IndexBusyError:
        raise
    except ImageSearchError as error:
        _note(settings, str(error))
        raise


def _file(settings: Settings) -> Path:
    return file_beside_index(settings, ".failure")


def _note(settings: Settings, reason: str) -> None:
    with suppress(OSError):  # the error itself is reported in any case
        make_data_dir(settings.data_dir)
        _file(settings).write_text(reason[:MAX_LENGTH], encoding="utf-8", errors="replace")
