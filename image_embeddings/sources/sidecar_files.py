"""Which of the files beside a photo are its sidecars: x.jpg.xmp, x.xmp, and the JSON of Google's exports.

docs/readers.md has a table of the names. Google cuts them, and moves the number of a copy.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from image_embeddings.photos.sidecars import JSON_SUFFIX, XMP_SUFFIX
from image_embeddings.sources.names import named_like_a_photo

_ADDITION = "supplemental-metadata"  # between the name of a photo and .json, or only its beginning
_SHORTEST_ADDITION = len("supp")  # that is told from a suffix
_CUT = 44  # letters or bytes of a name that Google may have cut; it cuts after 46 letters, without .json
_NUMBERED = re.compile(r"(.+)\((\d{1,4})\)")
# What Google puts after the name of a photo that was edited, by the language of the account.
_EDITED = (
    *("edited", "effects", "smile", "mix", "bearbeitet", "modifié", "editado", "ha editado", "editada", "modificato"),
    *("modificata", "bewerkt", "edytowane", "edytowany", "redigeret", "redigerad", "redigert", "muokattu", "upravené"),
    *("upraveno", "szerkesztett", "editat", "düzenlendi", "изменено", "编辑", "已編輯", "编辑过", "編集済み", "수정됨"),
)
_EDIT = re.compile(rf"(.+)-(?:{'|'.join(_EDITED)})(\(\d{{1,4}}\))?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SidecarFile:
    """A file beside a photo that says something of it; the other values show whether it may have changed."""

    file: str  # path below the address of the source, with slashes
    bytes: int
    mtime_ns: int
    ctime_ns: int = 0
    etag: str | None = None  # as in PhotoFile

    @classmethod
    def of(cls, entry: os.DirEntry[str], *, file: str) -> SidecarFile:
        """Return the entry of a folder as a sidecar. If its state cannot be read, that is all zeros."""
        try:
            return cls.with_status(entry.stat(), file=file)
        except OSError:
            return cls(file=file, bytes=0, mtime_ns=0)

    @classmethod
    def with_status(cls, status: os.stat_result, *, file: str) -> SidecarFile:
        """Return a sidecar that has this status."""
        return cls(file=file, bytes=status.st_size, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)

    @property
    def name(self) -> str:
        """The name of the file, without its folder."""
        return self.file.rpartition("/")[2]


def state_of_sidecars(sidecars: Sequence[SidecarFile]) -> str | None:
    """Return a short text that differs after a change of one of these files, or None for none."""
    if not sidecars:
        return None
    states = [
        (sidecar.name, sidecar.bytes, sidecar.mtime_ns, sidecar.ctime_ns, *filter(None, [sidecar.etag]))
        for sidecar in sidecars
    ]
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def may_be_a_sidecar(name: str) -> bool:
    """Return whether a file of this name may be the sidecar of some photo."""
    if name.lower().endswith(JSON_SUFFIX):
        stem = name[: -len(JSON_SUFFIX)]
        return bool(_bare_target(stem)) or any(map(named_like_a_photo, _targets(stem))) or _is_cut(stem)
    return name.lower().endswith(XMP_SUFFIX)


def match_sidecars(photos: Collection[str], others: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the sidecars of each of the `photos` that has some, the first before the others.

    All are names of files in one folder. Of the `others`, those count for which `may_be_a_sidecar` is true.
    """
    xmp, exports, bare_exports = _Names(), _Names(), _Names()
    for name in sorted(others):
        if name.lower().endswith(XMP_SUFFIX):
            xmp.add(name[: -len(XMP_SUFFIX)], name)
        else:
            stem = name[: -len(JSON_SUFFIX)]
            for target in _targets(stem):
                exports.add(target, name)
            bare_exports.add(_bare_target(stem), name)
    cut = _match_cut(photos, exports)
    names, stems = {*map(_normal, photos)}, {_normal(_stem(photo)) for photo in photos}
    found = {}
    for photo in photos:
        own = [xmp.find(photo, others=names), xmp.find(_stem(photo), others=stems)]
        own.append(
            exports.find(photo, others=names)
            or cut.get(photo)
            or bare_exports.find(_stem(photo), others=stems)
            or exports.find(_unedited(photo), others=names)
        )
        if any(own):
            found[photo] = tuple(dict.fromkeys(filter(None, own)))
    return found


class _Names:
    """The names of sidecars, by the names of what they belong to, without regard to capitals."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def add(self, target: str, name: str) -> None:
        self._found[_folded(target)].append((_normal(target), name))

    def find(self, target: str, *, others: Collection[str]) -> str | None:
        """Return the sidecar of `target`; if only its capitals differ, none that is exactly that of one of `others`."""
        found, exact = self._found.get(_folded(target), []), _normal(target)
        return next(
            (name for written, name in found if written == exact),
            next((name for written, name in found if written not in others), None),
        )

    def items(self) -> Iterable[tuple[str, str]]:
        """Return pairs of a target and the name of its sidecar."""
        return [pair for found in self._found.values() for pair in found]


def _targets(stem: str) -> list[str]:
    """Return the names that the photo of a JSON file may have; `stem` is the name of that file without .json.

    Those of `x.jpg.supplemental-meta(1)` are x(1).jpg.supplemental-meta, x(1).jpg and the name as it is. A cut name is
    its own target.
    """
    targets = [stem]
    numbered = _NUMBERED.fullmatch(stem)
    for base, number in ((stem, ""), (numbered[1], f"({numbered[2]})") if numbered else ("", "")):
        head, dot, tail = base.rpartition(".")
        if number:
            targets.append(_with_number(base, number))
        if dot and _ADDITION.startswith(tail.lower()):
            targets.append(_with_number(head, number))
    return list(dict.fromkeys(filter(None, targets)))


def _bare_target(stem: str) -> str:
    """Return the name, without suffix, of a photo that had none in Google Photos; empty for another JSON file."""
    head, _, tail = stem.rpartition(".")
    name, number = _number_of(tail)
    return f"{head}{number}" if len(name) >= _SHORTEST_ADDITION and _ADDITION.startswith(name.lower()) else ""


def _match_cut(photos: Collection[str], exports: _Names) -> dict[str, str]:
    """Return the JSON files of photos whose names Google cut. A cut name that fits several photos belongs to none."""
    whole = {_folded(photo) for photo in photos}
    by_number: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for photo in photos:
        stem, number = _number_of(_stem(photo))
        by_number[number].append((_folded(stem + _suffix(photo)), photo))
    for named in by_number.values():
        named.sort()
    found: dict[str, str] = {}
    for target, name in exports.items():
        if _folded(target) in whole or not _is_cut(target):
            continue
        stem, number = _number_of(target)
        named, beginning = by_number[number], _folded(stem)
        at = bisect_left(named, (beginning, ""))
        fitting = [photo for folded, photo in named[at : at + 2] if folded.startswith(beginning)]
        if len(fitting) == 1:
            found.setdefault(fitting[0], name)
    return found


def _is_cut(target: str) -> bool:
    stem, _ = _number_of(target)
    return max(len(stem), len(stem.encode(errors="replace"))) >= _CUT


def _unedited(photo: str) -> str:
    """Return the name of the photo that this one was made of by an edit in Google Photos; itself if by none."""
    edit = _EDIT.fullmatch(unicodedata.normalize("NFC", _stem(photo)))
    return f"{edit[1]}{edit[2] or ''}{_suffix(photo)}" if edit else photo


def _number_of(stem: str) -> tuple[str, str]:
    """Return a name without the number of a copy, and that number in brackets, empty for none."""
    numbered = _NUMBERED.fullmatch(stem)
    return (numbered[1], f"({numbered[2]})") if numbered else (stem, "")


def _with_number(name: str, number: str) -> str:
    return f"{_stem(name)}{number}{_suffix(name)}" if number else name


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122 - names, which are no paths


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1]  # noqa: PTH122 - as above


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _normal(name).casefold()
