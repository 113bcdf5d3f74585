"""The photos of a tree of files on other machines, by the rules that hold for folders of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from image_embeddings.errors import CorpusError, SourceUnreachableError
from image_embeddings.sources.left_out import IGNORE_FILE, NO_MEDIA, Rules
from image_embeddings.sources.names import check_image_id, kind_of, named_like_a_photo, why_unread
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.sidecar_files import SidecarFile, match_sidecars, may_be_a_sidecar
from image_embeddings.sources.skipped import Skipped
from image_embeddings.sources.source import PhotoFile


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteEntry:
    """A file or folder of such a tree. `path` is relative to the address of the source, with slashes."""

    path: str
    bytes: int = 0
    mtime_ns: int = 0
    etag: str | None = None
    is_folder: bool = False

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def walk_tree(
    address: str,
    *,
    list_folder: Callable[[str], Iterable[RemoteEntry]],
    read_text: Callable[[RemoteEntry], str],
    exclude: Sequence[str],
    skip: Callable[[Skipped], None],
    passed: PassedOver,
) -> Iterator[PhotoFile]:
    """Yield the photos of the tree at `address`, sorted by image_id within each folder.

    `list_folder` returns what is in a folder, named by its path, which is empty for the whole tree. `read_text` returns
    the content of a file .ignore. `exclude`, `skip` and `passed` are those of `photo_folder.walk`.

    Raises:
        CorpusError: if the tree itself cannot be listed.
        SourceUnreachableError: if the other machine does not answer.
    """
    waiting = [("", Rules.at_root(PurePosixPath(address), exclude=exclude))]
    while waiting:
        folder, rules = waiting.pop()
        try:
            entries = sorted(list_folder(folder), key=lambda entry: entry.name)
            rules = _with_ignore_file(rules, entries, read_text)
        except SourceUnreachableError:
            raise
        except CorpusError as error:
            if not folder:
                raise
            skip(Skipped(image_id=folder, reason=str(error).removeprefix(f"{folder} "), is_folder=True))
            continue
        if folder and any(entry.name == NO_MEDIA for entry in entries):
            passed.left_out[NO_MEDIA] += 1
            continue
        files, inner = _sort_out(entries, rules, passed=passed)
        waiting += [(entry.path, rules.below(entry.name)) for entry in reversed(inner)]
        yield from _photos(files, skip=skip, passed=passed)


def _with_ignore_file(rules: Rules, entries: Iterable[RemoteEntry], read_text: Callable[[RemoteEntry], str]) -> Rules:
    for entry in entries:
        if entry.name == IGNORE_FILE and not entry.is_folder:
            return rules.with_patterns(read_text(entry))
    return rules


def _sort_out(
    entries: Iterable[RemoteEntry], rules: Rules, *, passed: PassedOver
) -> tuple[list[RemoteEntry], list[RemoteEntry]]:
    """Return the files and the folders that are looked at; count the others."""
    files: list[RemoteEntry] = []
    folders: list[RemoteEntry] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if reason := rules.why_left_out(entry.name, is_folder=entry.is_folder):
            passed.left_out[reason] += 1
        else:
            (folders if entry.is_folder else files).append(entry)
    return files, folders


def _photos(
    files: Iterable[RemoteEntry], *, skip: Callable[[Skipped], None], passed: PassedOver
) -> Iterator[PhotoFile]:
    """Yield the photos of one folder, each with its sidecars."""
    photos = [entry for entry in files if named_like_a_photo(entry.name)]
    others = {entry.name: entry for entry in files if not named_like_a_photo(entry.name)}
    candidates = [name for name in others if may_be_a_sidecar(name)]
    found = match_sidecars([entry.name for entry in photos], candidates) if candidates else {}
    used = {name for names in found.values() for name in names}
    passed.other_files.update(kind_of(name) for name in others if name not in used)
    for entry in photos:
        if reason := why_unfit(entry.path):
            skip(Skipped(image_id=printable_path(entry.path), reason=reason))
            continue
        yield photo_file(entry, sidecars=tuple(_sidecar(others[name]) for name in found.get(entry.name, ())))


def photo_file(entry: RemoteEntry, *, sidecars: tuple[SidecarFile, ...] = ()) -> PhotoFile:
    """Return a file of the tree as a photo."""
    return PhotoFile(
        image_id=entry.path, bytes=entry.bytes, mtime_ns=entry.mtime_ns, etag=entry.etag, sidecars=sidecars
    )


def _sidecar(entry: RemoteEntry) -> SidecarFile:
    return SidecarFile(file=entry.path, bytes=entry.bytes, mtime_ns=entry.mtime_ns, etag=entry.etag)


def why_unfit(path: str) -> str:
    """Return why a file with the name of a photo cannot be indexed; empty if it can."""
    try:
        check_image_id(path)
    except ValueError as error:
        return str(error)
    return why_unread(path)


def printable_path(path: str) -> str:
    """Return a path that can be printed, even if it is not Unicode."""
    return path.encode(errors="surrogateescape").decode(errors="replace")
