"""What is left out of a folder of photos: by names that programs use, by the setting EXCLUDE, and by marker files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".ignore"  # patterns of what to leave out, in the syntax of .gitignore
NO_MEDIA = ".nomedia"  # Android's sign that a folder, with those below it, holds nothing to show
MARKERS = (IGNORE_FILE, NO_MEDIA)
EXCLUDE = "EXCLUDE"

# Pattern of a folder's name, without regard to case -> why it holds no photos of its owner. Folders whose names begin
# with a dot are hidden, and need no row.
LEFT_OUT_FOLDERS = {
    "@eaDir": "thumbnails and indices that a Synology NAS puts into each folder",
    "@SynoEAStream": "streams that a Synology NAS keeps for Macs",
    "@tmp": "temporary files of a Synology NAS",
    "#recycle": "waste basket of a Synology NAS",
    "#snapshot": "older states of a shared folder on a Synology NAS",
    "@Recycle": "waste basket of a QNAP NAS",
    "@Recently-Snapshot": "older states of a shared folder on a QNAP NAS",
    "~snapshot": "older states of a shared folder on a NetApp NAS",
    "$RECYCLE.BIN": "waste basket of Windows",
    "RECYCLER": "waste basket of older versions of Windows",
    "System Volume Information": "restore points of Windows",
    "lost+found": "pieces of files that a repair of the file system found",
    "LOST.DIR": "pieces of files that Android found",
    "FOUND.[0-9][0-9][0-9]": "pieces of files that a repair by Windows found",
    "Network Trash Folder": "waste basket of Macs on a file server",
    "Temporary Items": "temporary files of Macs on a file server",
    "__MACOSX": "what a Mac adds to ZIP files",
    "_gsdata_": "older versions of files that GoodSync keeps",
    "*.lrdata": "previews of Lightroom",
}

# In the library of a photo program, only these folders hold the photos themselves. The others hold thumbnails and
# other pictures that the program makes of them.
_LIBRARIES = ("*.photoslibrary", "*.photolibrary", "*.migratedphotolibrary", "*.aplibrary")
_ORIGINALS = ("originals", "masters")
DERIVATIVES = "made by a photo program"


@cache
def _patterns() -> dict[str, str]:
    return {name.lower(): name for name in LEFT_OUT_FOLDERS}


def parse_patterns(lines: Iterable[str]) -> GitIgnoreSpec:
    """Return patterns in the syntax of .gitignore.

    Raise ValueError, which quotes the pattern, if one cannot be used.
    """
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def parse_exclude(globs: Iterable[str]) -> GitIgnoreSpec:
    """Return the globs of EXCLUDE as patterns. None of them is a comment, so `#recycle` is a name.

    Raise ValueError, which quotes the glob, if one cannot be used.
    """
    return parse_patterns(f"\\{glob}" if glob.startswith("#") else glob for glob in globs)


def _usable_patterns(text: str) -> GitIgnoreSpec:
    """Return the patterns in the text of a file; like git, pass over a line that is none."""

    def is_usable(line: str) -> bool:
        try:
            parse_patterns([line])
        except ValueError:
            return False
        return True

    return parse_patterns(filter(is_usable, text.splitlines()))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules for one folder: what is left out of it.

    Paths are relative to the folder of the photos, with slashes. `prefix` is that of this folder, empty for the folder
    of the photos, else with a slash at its end.
    """

    exclude: GitIgnoreSpec = field(default_factory=lambda: parse_exclude(()))
    prefix: str = ""
    is_library: bool = False  # whether a photo program keeps its library in this folder
    ignore_files: tuple[tuple[str, GitIgnoreSpec], ...] = ()  # prefix and patterns, the innermost file first

    @classmethod
    def at_root(cls, folder: PurePath, *, exclude: Iterable[str] = ()) -> Rules:
        """Return the rules of the folder of the photos, without its file .ignore."""
        return cls(exclude=parse_exclude(exclude), is_library=_is_library(folder.name))

    def below(self, name: str) -> Rules:
        """Return the rules of the folder `name` in this one, without that folder's own file .ignore."""
        return replace(self, prefix=f"{self.prefix}{name}/", is_library=_is_library(name))

    def with_ignore_file(self, folder: Path) -> Rules:
        """Return the rules with the file .ignore in `folder`, which is the folder of these rules, if there is one.

        Raises:
            OSError: if there is one that cannot be read.
        """
        try:
            text = (folder / IGNORE_FILE).read_text(encoding="utf-8-sig", errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return self
        return self.with_patterns(text)

    def with_patterns(self, text: str) -> Rules:
        """Return the rules with the patterns of a file .ignore in the folder of these rules."""
        return replace(self, ignore_files=((self.prefix, _usable_patterns(text)), *self.ignore_files))

    def why_left_out(self, name: str, *, is_folder: bool) -> str:
        """Return the reason in a word or two if the file or folder `name` is left out, else an empty text.

        The reason is a name in LEFT_OUT_FOLDERS, DERIVATIVES, EXCLUDE or IGNORE_FILE.
        """
        if is_folder and (reason := self._why_by_name(name)):
            return reason
        path = f"{self.prefix}{name}/" if is_folder else f"{self.prefix}{name}"
        if self.exclude.check_file(path).include:
            return EXCLUDE
        for prefix, patterns in self.ignore_files:
            is_included = patterns.check_file(path.removeprefix(prefix)).include
            if is_included is not None:
                return IGNORE_FILE if is_included else ""
        return ""

    def _why_by_name(self, name: str) -> str:
        lowered = name.lower()
        if self.is_library and lowered not in _ORIGINALS:
            return DERIVATIVES
        return next((shown for pattern, shown in _patterns().items() if fnmatchcase(lowered, pattern)), "")


def _is_library(name: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in _LIBRARIES)


def is_path_left_out(path: str, rules: Rules, *, root: Path, is_folder: bool) -> bool:
    """Return whether a path below `root`, whether it exists or not, is left out by its name or that of a folder above.

    `rules` are those of `root`. The files .ignore and .nomedia on the way count as they are at present.
    """
    *above, name = Path(path).relative_to(root).parts
    folder = root
    try:
        rules = rules.with_ignore_file(folder)
        for part in above:
            folder = folder / part
            if rules.why_left_out(part, is_folder=True) or os.path.lexists(folder / NO_MEDIA):
                return True
            rules = rules.below(part).with_ignore_file(folder)
    except OSError:  # the walk reports it
        return True
    return bool(rules.why_left_out(name, is_folder=is_folder))
