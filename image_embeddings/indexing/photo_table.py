"""The photos of a source and of an index, compared in a database of its own that lies on disk if it is large.

A run asks what is known of a photo by its name, or of all photos one after another. So no run holds all photos in
memory. The database has no name: SQLite keeps some megabytes of it in memory and the rest in a file without a name, in
the folder for temporary files (SQLITE_TMPDIR or TMPDIR), and it ends with the run.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter
from typing import Any

from image_embeddings.documents import FileState
from image_embeddings.errors import DataDirError
from image_embeddings.indexing.fate import Fate, decide
from image_embeddings.sources.sidecar_files import SidecarFile
from image_embeddings.sources.source import PhotoFile

CACHE_KIB = 32 * 1024  # of the database, in memory
PAGE_ROWS = 1_000
ASKED_AT_ONCE = 500  # photos; SQLite takes 999 values at most
_DISK_ERRORS = ("database or disk is full", "disk I/O error", "unable to open database file")
_STATE = ", ".join(FileState.__slots__)
_values_of_state = attrgetter(*FileState.__slots__)
_values_of_file = attrgetter("bytes", "mtime_ns", "ctime_ns", "inode", "etag")
_values_of_sidecar = attrgetter(*SidecarFile.__slots__)
_TABLES = f"""
    CREATE TABLE indexed (image_id TEXT PRIMARY KEY, {_STATE}, fate INTEGER) WITHOUT ROWID;
    CREATE TABLE replaced (image_id TEXT PRIMARY KEY, bytes INTEGER, fate INTEGER) WITHOUT ROWID;
    CREATE TABLE to_encode (number INTEGER PRIMARY KEY, image_id TEXT UNIQUE, fate INTEGER, file TEXT);
"""


class PhotoTable:
    """The photos of a source and of an index, each with its fate. Any thread may use it."""

    def __init__(self) -> None:
        """Begin without a photo."""
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._connection.close)
        self._lock = threading.RLock()
        self._sets = 0
        self._sorted_by: set[str] = set()
        # What is lost with the process need not be written twice.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_TABLES)

    # Filling. First the index, then the source.

    def read_indexed(self, states: Iterable[tuple[str, FileState]]) -> None:
        """Take the photos of the index, in place of those that were taken before."""
        self.execute("DELETE FROM indexed")
        rows = ((image_id, *_values_of_state(state), decide(None, state)) for image_id, state in states)
        self._write("INSERT OR REPLACE INTO indexed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def read_replaced(self, states: Iterable[tuple[str, FileState]]) -> None:
        """Take the photos of an index whose place the other one is to take."""
        self.execute("DELETE FROM replaced")
        rows = ((image_id, state.bytes, decide(None, state)) for image_id, state in states)
        self._write("INSERT OR REPLACE INTO replaced VALUES (?, ?, ?)", rows)

    def read_listed(self, files: Iterable[PhotoFile], *, reread: bool, is_rebuild: bool) -> int:
        """Take the photos of the source and decide the fate of each.

        Return how many of those that the index has, or with `is_rebuild` the one that it replaces, are here by name and
        size.
        """
        held_here = 0
        source = iter(files)
        while some := list(islice(source, ASKED_AT_ONCE)):
            states = self.states_of([file.image_id for file in some])
            sizes = self._sizes_of_replaced([file.image_id for file in some]) if is_rebuild else {}
            for file in some:
                state = states.get(file.image_id)
                size = sizes.get(file.image_id) if is_rebuild else state.bytes if state else None
                held_here += size == file.bytes
            self._add_listed([(file, decide(file, states.get(file.image_id), reread=reread)) for file in some])
        return held_here

    def _add_listed(self, files: Sequence[tuple[PhotoFile, Fate]]) -> None:
        rows = [(file.image_id, fate, _pack(file)) for file, fate in files if fate is not Fate.LEAVE]
        self._write("INSERT OR IGNORE INTO to_encode (image_id, fate, file) VALUES (?, ?, ?)", rows)
        fates = [(fate, file.image_id) for file, fate in files]
        self._write("UPDATE indexed SET fate = ? WHERE image_id = ?", fates)
        self._write("UPDATE replaced SET fate = ? WHERE image_id = ?", fates)

    def keep_below(self, folder: str) -> None:
        """Keep the indexed photos below a folder, though the source does not list them."""
        condition, bounds = below(folder)
        for table in ("indexed", "replaced"):
            statement = f"UPDATE {table} SET fate = ? WHERE fate = ? AND {condition}"
            self.execute(statement, (Fate.KEEP, Fate.REMOVE, *bounds))

    # Asking

    def states_of(self, image_ids: Sequence[str]) -> dict[str, FileState]:
        """Return the states of those of these photos that are indexed. At most ASKED_AT_ONCE may be named."""
        query = f"SELECT image_id, {_STATE} FROM indexed WHERE image_id IN ({_marks(image_ids)})"
        names = FileState.__slots__
        return {
            image_id: FileState(**dict(zip(names, values, strict=True)))
            for image_id, *values in self.execute(query, image_ids)
        }

    def _sizes_of_replaced(self, image_ids: Sequence[str]) -> dict[str, int]:
        query = f"SELECT image_id, bytes FROM replaced WHERE image_id IN ({_marks(image_ids)})"
        return dict(self.execute(query, image_ids))

    def first(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of the answer to a query, or None if there is none."""
        return next(iter(self.execute(statement, values)), None)

    def count(self, source: str, values: Sequence[Any] = ()) -> int:
        """Return the number of rows of what follows SELECT in a query, such as `FROM indexed WHERE bytes = ?`."""
        ((number,),) = self.execute(f"SELECT count(*) {source}", values)
        return int(number)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of the answer to a query. Ask for pages if there may be many."""
        with self._lock, _errors():
            return self._connection.execute(statement, values).fetchall()

    def pages(self, query: str, values: Sequence[Any] = (), *, key: str = "image_id") -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, ordered by the column `key`, which is the first one. It differs in all rows.

        The query ends with a condition. The table may change meanwhile.
        """
        last: Any = None
        while True:
            after = (f"AND {key} > ?", (last,)) if last is not None else ("", ())
            page = self.execute(f"{query} {after[0]} ORDER BY {key} LIMIT {PAGE_ROWS}", (*values, *after[1]))
            yield from page
            if len(page) < PAGE_ROWS:
                return
            last = page[-1][0]

    def files(self, condition: str, values: Sequence[Any] = ()) -> Iterator[PhotoFile]:
        """Yield the files to encode for which the condition is true, in the order of the source."""
        query = f"SELECT number, image_id, file FROM to_encode WHERE {condition}"
        for _, image_id, packed in self.pages(query, values, key="number"):
            yield _unpack(image_id, packed)

    def make_index(self, column: str) -> None:
        """Make queries by a column of the index's photos fast, from now on."""
        with self._lock:
            if column not in self._sorted_by:
                self.execute(f"CREATE INDEX indexed_{column} ON indexed ({column})")
                self._sorted_by.add(column)

    def add_function(self, name: str, function: Callable[[str], bool]) -> None:
        """Let queries call a function of a text. It always returns the same for the same text."""
        with self._lock:
            self._connection.create_function(name, 1, function, deterministic=True)

    def make_set(self, texts: Iterable[str] = ()) -> TextSet:
        """Return a set of texts that lies here and not in memory."""
        with self._lock:
            self._sets += 1
            made = TextSet(self, f"set_{self._sets}")
        self._write(f"INSERT OR IGNORE INTO {made.name} VALUES (?)", ((text,) for text in texts))
        return made

    def _write(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._lock, _errors():
            self._connection.execute("BEGIN")
            try:
                self._connection.executemany(statement, rows)
            finally:
                if self._connection.in_transaction:  # a full disk has ended it
                    self._connection.execute("COMMIT")


class TextSet:
    """A set of texts that grows. It lies in a table of a PhotoTable."""

    def __init__(self, table: PhotoTable, name: str) -> None:
        self.name, self._table = name, table
        table.execute(f"CREATE TABLE {name} (text TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, text: str) -> None:
        """Add a text, unless it is there."""
        self._table.execute(f"INSERT OR IGNORE INTO {self.name} VALUES (?)", (text,))

    def __contains__(self, text: object) -> bool:
        """Return whether a text is in the set."""
        return self._table.first(f"SELECT 1 FROM {self.name} WHERE text = ?", (text,)) is not None


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def below(folder: str) -> tuple[str, tuple[str, str]]:
    """Return the condition that an image_id is below a folder, and its values."""
    return "image_id > ? AND image_id < ?", (f"{folder}/", f"{folder}0")  # 0 is the character next to the slash


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the error of a disk that is full or cannot be written into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error) not in _DISK_ERRORS:
            raise
        raise DataDirError(
            f"The list of photos cannot be kept in the folder for temporary files ({error}). It takes up to 400 bytes "
            "for each photo. Set TMPDIR to a folder on a disk with room for it."
        ) from error


def _pack(file: PhotoFile) -> str:
    return json.dumps([*_values_of_file(file), [_values_of_sidecar(sidecar) for sidecar in file.sidecars]])


def _unpack(image_id: str, packed: str) -> PhotoFile:
    size, mtime_ns, ctime_ns, inode, etag, sidecars = json.loads(packed)
    names = SidecarFile.__slots__
    return PhotoFile(
        image_id=image_id,
        bytes=size,
        mtime_ns=mtime_ns,
        ctime_ns=ctime_ns,
        inode=inode,
        etag=etag,
        sidecars=tuple(SidecarFile(**dict(zip(names, sidecar, strict=True))) for sidecar in sidecars),
    )
