"""The folders below the folder of the photos: those that are looked at, each with the files in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from image_embeddings.errors import CorpusError
from image_embeddings.sources.left_out import IGNORE_FILE, NO_MEDIA, Rules
from image_embeddings.sources.names import readable_path
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.skipped import Skipped, why_unopened


def check_folder(folder: Path) -> None:
    """Check that `folder` is a folder.

    Raises:
        CorpusError: if it is not.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises if a network drive is away
        remedy = "Name the folder of your photos: index FOLDER, or IMAGE_DIR."
        if os.path.exists(folder):  # noqa: PTH110 - as above
            raise CorpusError(f"{folder} is not a folder. {remedy}")
        raise CorpusError(f"There is no folder {folder}. Is its drive mounted? {remedy}")


def walk_folders(
    folder: Path,
    *,
    skip: Callable[[Skipped], None],
    passed: PassedOver,
    leave_out: Path | None = None,
    exclude: Iterable[str] = (),
    is_entered: Callable[[str], bool] = lambda path: True,
) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Yield `folder` and the folders below it that are looked at, each with the files in it, sorted by name.

    Links to folders are not followed. Files and folders whose name begins with a dot are passed over, and so are the
    folder `leave_out`, whatever path leads to it, and what the rules of `left_out` leave out: `exclude` are the globs
    of EXCLUDE. A folder with a file .nomedia is yielded without files, and those below it are not; but `folder` itself
    is looked at in any case. A folder that cannot be opened goes to `skip`. A folder for whose path `is_entered` is
    false is not opened.

    Raises:
        CorpusError: if `folder` is not a folder, or cannot be read.
    """
    check_folder(folder)

    own_data = _status(leave_out)
    waiting = [(folder, Rules.at_root(folder, exclude=exclude))]
    while waiting:
        parent, rules = waiting.pop()
        try:
            with os.scandir(parent) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            rules = rules.with_ignore_file(parent)
        except OSError as error:
            what = IGNORE_FILE if error.filename and Path(error.filename).name == IGNORE_FILE else ""
            if parent == folder:
                path = folder / what
                raise CorpusError(f"The {'file' if what else 'folder'} {path} {why_unopened(error)}.") from error
            reason = f"its file {what} {why_unopened(error)}" if what else why_unopened(error)
            skip(Skipped(image_id=readable_path(parent, folder), reason=reason, is_folder=True))
            continue
        if parent != folder and any(entry.name == NO_MEDIA for entry in entries):
            passed.left_out[NO_MEDIA] += 1
            yield parent, []
            continue
        files, inner = _sort_out(entries, rules, own_data=own_data, passed=passed)
        inner = [entry for entry in inner if is_entered(entry.path)]
        waiting += [(Path(entry.path), rules.below(entry.name)) for entry in reversed(inner)]
        yield parent, files


def _sort_out(
    entries: Iterable[os.DirEntry[str]], rules: Rules, *, own_data: os.stat_result | None, passed: PassedOver
) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Return the files and the folders among the entries of a folder that are looked at; count the others."""
    files: list[os.DirEntry[str]] = []
    folders: list[os.DirEntry[str]] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        is_folder = entry.is_dir(follow_symlinks=False)
        is_link = not is_folder and _is_linked_folder(entry)
        if reason := rules.why_left_out(entry.name, is_folder=is_folder or is_link):
            passed.left_out[reason] += 1
        elif is_link:
            passed.linked_folders += 1
        elif not is_folder:
            files.append(entry)
        elif not _is_same(entry, own_data):
            folders.append(entry)
    return files, folders


def _is_linked_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # links in a circle
        return False


def _status(path: Path | None) -> os.stat_result | None:
    try:
        return path.stat() if path else None
    except OSError:
        return None


def _is_same(entry: os.DirEntry[str], status: os.stat_result | None) -> bool:
    try:
        return status is not None and os.path.samestat(entry.stat(follow_symlinks=False), status)
    except OSError:  # it has gone in the meantime
        return False
