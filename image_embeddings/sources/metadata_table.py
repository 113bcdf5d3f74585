"""The metadata file: what the owner knows about the photos, as a CSV table with a line for each photo.

    file,label,caption,photographer
    rome/forum.jpg,ruins,"The Forum, seen from the Palatine",Ada

The column `file` holds image_ids. `label` and `caption` are optional. Any other column is kept under its own name. The
file is in UTF-8, and its fields are separated by commas, semicolons or tabs.
"""

import csv
import io
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from image_embeddings.documents import PhotoMetadata
from image_embeddings.errors import MetadataError
from image_embeddings.photos.captions import CAPTION_LENGTH
from image_embeddings.photos.exif import plain

FILE, LABEL, CAPTION = "file", "label", "caption"
LABEL_LENGTH = 200  # characters
EXTRA_LENGTH = 2_000
COLUMN_LENGTH = 100
MAX_FILE_BYTES = 256 * 2**20
SHOWN_PROBLEMS = 10

_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, kw_only=True)
class _Problem:
    line: int
    what: str


def read_metadata(path: Path, *, image_ids: Iterable[str]) -> dict[str, PhotoMetadata]:
    """Return a dict: image_id -> metadata of the photo. `image_ids` are those of all photos in the corpus.

    Raises:
        MetadataError: if the file cannot be read, or if lines cannot be used. The message names up to SHOWN_PROBLEMS
            lines with their numbers.
    """
    rows = _rows(_text(path), name=path.name)
    _, columns = next(rows, (1, []))
    _check_columns(columns, name=path.name)
    read = list(rows)
    at = columns.index(FILE)
    named = {fields[at] for _, fields in read if len(fields) > at}
    table = _Table(columns=columns, photos=_find_named(named, image_ids))
    for line, fields in read:
        table.add(line, fields)
    if table.problems:
        raise _unusable(path.name, table.problems)
    return table.found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MetadataError(
            f"The metadata file {path} cannot be read ({error.strerror or error}). Is its path the right one?"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise MetadataError(f"The metadata file {path} has more than {MAX_FILE_BYTES:,} bytes. Is it the right one?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "it is not UTF-8. Save the file as UTF-8 (in a spreadsheet program: CSV UTF-8)"
        raise _unusable(path.name, [_Problem(line=line, what=what)]) from error


def _rows(text: str, *, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its first line and the fields of each row; skip blank rows."""
    first = "".join(text[: 100 * COLUMN_LENGTH].lstrip("\r\n").splitlines()[:1])
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield begins, [field.strip() for field in fields]
            begins = reader.line_num + 1
    except csv.Error as error:
        what = f"{error}; a quote that is opened must be closed, and one inside a text is doubled"
        raise _unusable(name, [_Problem(line=begins, what=what)]) from error


def _check_columns(columns: list[str], *, name: str) -> None:
    if FILE not in columns:
        named = ", ".join(map(repr, columns)) or "none"
        what = f"there is no column 'file' (there are: {named}); the first line names the columns"
    elif len(columns) == 1:
        what = "there is no column beside 'file'"
    elif repeated := {column for column in columns if columns.count(column) > 1}:
        what = f"the column {sorted(repeated)[0]!r} is there twice, or two columns have no name"
    elif odd := [column for column in columns if plain(column, length=COLUMN_LENGTH) != column]:
        what = f"a column cannot be called {odd[0][:COLUMN_LENGTH]!r}: a name has 1 to {COLUMN_LENGTH} characters"
    else:
        return
    raise _unusable(name, [_Problem(line=1, what=what)])


class _Table:
    """The rows that are read so far: the metadata of the usable ones, and the problems of the others."""

    def __init__(self, *, columns: list[str], photos: Mapping[str, str]) -> None:
        """Begin without rows. `photos` has the image_id of each photo that rows may name, by that name."""
        self.columns = columns
        self.found: dict[str, PhotoMetadata] = {}
        self.problems: list[_Problem] = []
        self._lines: dict[str, int] = {}
        self._photos = photos

    def add(self, line: int, fields: list[str]) -> None:
        """Add one row, or note what is wrong with it."""
        try:
            image_id, metadata = self._row(fields)
        except ValueError as error:
            self.problems.append(_Problem(line=line, what=str(error)))
            return
        if image_id in self.found:
            what = f"{image_id!r} stands in line {self._lines[image_id]} already"
            self.problems.append(_Problem(line=line, what=what))
            return
        self.found[image_id], self._lines[image_id] = metadata, line

    def _row(self, fields: list[str]) -> tuple[str, PhotoMetadata]:
        if len(fields) != len(self.columns):
            raise ValueError(
                f"it has {len(fields)} fields, and there are {len(self.columns)} columns; put quotes around texts "
                "with commas"
            )
        values = dict(zip(self.columns, fields, strict=True))
        file = values.pop(FILE)
        image_id = self._photos.get(file)
        if image_id is None:
            raise ValueError(f"there is no photo {file!r}; a file is named by its path below the folder of the photos")
        label = _value(values.pop(LABEL, ""), column=LABEL, length=LABEL_LENGTH)
        caption = _value(values.pop(CAPTION, ""), column=CAPTION, length=CAPTION_LENGTH)
        extra = {name: _value(value, column=name, length=EXTRA_LENGTH) for name, value in values.items()}
        return image_id, PhotoMetadata(
            label=label, caption=caption, extra={name: value for name, value in extra.items() if value}
        )


def _find_named(names: Collection[str], image_ids: Iterable[str]) -> dict[str, str]:
    """Return the image_ids of the photos that these names name, by the name. There may be very many image_ids."""
    comparable = {name: _comparable(name) for name in names}
    wanted = set(comparable.values())
    found: dict[str, str] = {}
    alike: dict[str, str] = {}
    for image_id in image_ids:
        if (form := _comparable(image_id)) in wanted:
            alike[form] = image_id
            if image_id in names:
                found[image_id] = image_id
    return {name: alike[form] for name, form in comparable.items() if form in alike} | found


def _comparable(file: str) -> str:
    """Return a name in the form in which names are compared: some systems write an accent as a separate character."""
    return unicodedata.normalize("NFC", file.removeprefix("./"))


def _value(text: str, *, column: str, length: int) -> str | None:
    if len(text) > length:
        raise ValueError(f"{column!r} has {len(text):,} characters, {length:,} at most")
    return plain(text, length=length)


def _unusable(name: str, problems: list[_Problem]) -> MetadataError:
    shown = "; ".join(f"line {problem.line}: {problem.what}" for problem in problems[:SHOWN_PROBLEMS])
    more = len(problems) - SHOWN_PROBLEMS
    rest = f"; and {more:,} lines more" if more > 0 else ""
    return MetadataError(f"The metadata file {name} cannot be used: {shown}{rest}. Correct it and try again.")
