"""The list of a bucket, as folders. It holds the keys of some folders at a time, and not of the whole bucket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from image_embeddings.sources.names import kind_of, named_like_a_photo
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.remote_tree import RemoteEntry
from image_embeddings.sources.skipped import Skipped

KEYS_AT_ONCE = 20_000  # of a folder and of all below it; a page of the list has 1,000 keys, from whatever folders
_ODD_KEY = "its key has an empty part, '.' or '..', or ends with a slash, so it is no path: copy it to another key"

Page = Mapping[str, Any]


class BucketFolders:
    """Lists the folders of a bucket: a whole tree of folders by one list if it is small, else each by its own.

    Call it as a walk does: for the uppermost folder, and then for each one after all that is below the one before.
    """

    def __init__(
        self,
        list_page: Callable[[Mapping[str, str]], Page],
        *,
        prefix: str,
        skip: Callable[[Skipped], None],
        passed: PassedOver,
    ) -> None:
        """Take a function that returns a page of the list, as S3 does for these options. `prefix` is that of all keys.

        Keys that are no paths go to `skip` or `passed`.
        """
        self._list_page, self._prefix, self._skip, self._passed = list_page, prefix, skip, passed
        self._known: dict[str, dict[str, RemoteEntry]] = {}  # the folders of a tree that was listed as a whole

    def __call__(self, folder: str) -> Iterable[RemoteEntry]:
        """Return the files and folders in a folder, named by its path, which is empty for the uppermost one."""
        if folder in self._known:
            return self._known.pop(folder).values()
        self._known.clear()  # what is left is of folders that nobody wants
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        items = list(islice(self._objects(prefix), KEYS_AT_ONCE + 1))
        if len(items) > KEYS_AT_ONCE:
            return self._list_one(prefix)
        self._known = self._sort_into_folders(items)
        return self._known.pop(folder, {}).values()

    def _sort_into_folders(self, items: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, RemoteEntry]]:
        folders: dict[str, dict[str, RemoteEntry]] = defaultdict(dict)
        for entry in self._entries(items):
            folder, _, name = entry.path.rpartition("/")
            if folder not in folders:
                _add_folders(folders, folder)
            folders[folder][name] = entry
        return dict(folders)

    def _list_one(self, prefix: str) -> Iterator[RemoteEntry]:
        """Yield what is in one folder, without what is below it."""
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            yield from self._entries(page.get("Contents", ()))
            for item in page.get("CommonPrefixes", ()):
                path = item["Prefix"].removeprefix(self._prefix).removesuffix("/")
                if is_plain_parts(path):
                    yield RemoteEntry(path=path, is_folder=True)
                else:  # no key below it is a path
                    yield from self._entries(self._objects(item["Prefix"]))

    def _entries(self, items: Iterable[Mapping[str, Any]]) -> Iterator[RemoteEntry]:
        for item in items:
            path = item["Key"].removeprefix(self._prefix)
            if is_plain_parts(path):
                yield entry_of(path, item)
            else:
                self._pass_over(path)

    def _pass_over(self, path: str) -> None:
        """Name a key that is no path if it looks like a photo; else count it, unless it only stands for a folder."""
        name = path.rstrip("/").rpartition("/")[2]
        if named_like_a_photo(name):
            self._skip(Skipped(image_id=path, reason=_ODD_KEY))
        elif not path.endswith("/") and path:
            self._passed.other_files[kind_of(name)] += 1

    def _objects(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        return (item for page in self._pages(Prefix=prefix) for item in page.get("Contents", ()))

    def _pages(self, **options: str) -> Iterator[Page]:
        while True:
            page = self._list_page(options)
            yield page
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]


def is_plain_parts(path: str) -> bool:
    """Return whether a key below the prefix is a path: no part is empty, `.` or `..`. Its length is no matter."""
    return not {"", ".", ".."} & set(path.split("/"))


def entry_of(path: str, item: Mapping[str, Any], *, size: int | None = None) -> RemoteEntry:
    """Return an object of a list as a file; without `Size` the size has to be given."""
    modified: datetime = item["LastModified"]
    return RemoteEntry(
        path=path,
        bytes=item["Size"] if size is None else size,
        mtime_ns=int(modified.timestamp()) * 10**9,
        etag=item["ETag"].strip('"'),
    )


def _add_folders(folders: dict[str, dict[str, RemoteEntry]], path: str) -> None:
    """Add a folder to the one above it, and so on."""
    while path:
        above, _, name = path.rpartition("/")
        if f"{name}/" in folders[above]:
            return
        folders[above][f"{name}/"] = RemoteEntry(path=path, is_folder=True)
        path = above
