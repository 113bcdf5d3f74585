"""Which photo a path in a table of another program means. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from image_embeddings.errors import EmbeddingFilesError


def match_paths(paths: Sequence[str], image_ids: Set[str], *, address: str, table: str) -> dict[str, list[int]]:
    """Return image_id -> the numbers of its rows, for all photos that a path of a row means.

    All paths lose the same beginning, and what is left has to be an image_id. If paths begin with `address`, where the
    photos are now, that is the beginning. Else it is the one of the folders above all rows by which most photos are
    found. `table` names the rows in messages.

    Raises:
        EmbeddingFilesError: no photo is found, or two folders find equally many.
    """
    paths = [_with_slashes(path) for path in paths]
    ranked = []
    for beginning in _beginnings(paths, address=address):
        found = _rows_by_photo(paths, image_ids, beginning=beginning)
        if found and beginning == _as_folder(address):
            return found
        ranked.append((len(found), beginning, found))
    ranked.sort(key=lambda each: each[0], reverse=True)
    (most, beginning, found), *others = ranked
    if not most:
        raise EmbeddingFilesError(
            f"No row of {table} is of a photo in {address}: there are rows such as '{min(paths, default='')}' and "
            f"photos such as '{min(image_ids, default='')}'. Name the folder of these photos."
        )
    if others and others[0][0] == most:
        raise EmbeddingFilesError(
            f"It is not clear which photos the rows of {table} mean: as many are found below '{beginning}' as below "
            f"'{others[0][1]}'. Put the photos where the rows say, or name the folder that is right."
        )
    return found


def _with_slashes(path: str) -> str:
    return (path if "/" in path else path.replace("\\", "/")).removeprefix("./")


def _as_folder(address: str) -> str:
    return f"{address.rstrip('/')}/"


def _beginnings(paths: Sequence[str], *, address: str) -> Iterator[str]:
    """Yield the beginnings that the paths may lose: where the photos are, nothing, and each folder above all rows."""
    yield _as_folder(address)
    yield ""
    if not paths:
        return
    first, last = min(paths), max(paths)
    for place, sign in enumerate(first):
        if place >= len(last) or sign != last[place]:
            return
        if sign == "/":
            yield first[: place + 1]


def _rows_by_photo(paths: Sequence[str], image_ids: Set[str], *, beginning: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        image_id = path[len(beginning) :]
        if image_id in image_ids and path.startswith(beginning):
            found.setdefault(image_id, []).append(row)
    return found
