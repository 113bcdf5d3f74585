"""Photos in a bucket of S3, or of any store that speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from image_embeddings.errors import (
    CorpusError,
    SourceUnreachableError,
    StoreChangedError,
    StoreError,
    StoreMissingError,
    StoreUnreachableError,
)
from image_embeddings.file_stores.ranged_file import Body
from image_embeddings.file_stores.s3_connection import S3Body, S3Connection
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.remote_source import RemoteSource, changed, gone
from image_embeddings.sources.remote_tree import RemoteEntry
from image_embeddings.sources.s3_listing import BucketFolders, entry_of
from image_embeddings.sources.skipped import Skipped


class S3Source(RemoteSource):
    """The photos below `s3://BUCKET/PREFIX`. Credentials come from where boto3 looks for them."""

    compares_etags = True

    def __init__(
        self,
        address: str,
        *,
        endpoint: str | None = None,
        exclude: Sequence[str] = (),
        patience_seconds: float = 0.0,
    ) -> None:
        """Take the address, and the address of the store if it is not Amazon's; connect to nothing yet.

        Raises:
            SettingError: if the address names no bucket.
        """
        super().__init__(address, exclude=exclude, patience_seconds=patience_seconds)
        self._s3 = S3Connection(address, endpoint=endpoint, rights="s3:GetObject and s3:ListBucket")

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process needs to make the same source; it finds credentials of its own."""
        return _make, (self.address, self._s3.endpoint, self._exclude, self._patience_seconds)

    def check(self) -> None:
        """As in `PhotoSource`."""
        self._patiently(self._list_page, {"MaxKeys": 1})

    def _begin_listing(
        self, *, skip: Callable[[Skipped], None], passed: PassedOver
    ) -> Callable[[str], Iterable[RemoteEntry]]:
        list_page = partial(self._patiently, self._list_page)
        return BucketFolders(list_page, prefix=self._s3.prefix, skip=skip, passed=passed)

    def _stat(self, path: str) -> RemoteEntry | None:
        with _errors(path):
            found = self._s3.find(path)
        return entry_of(path, found, size=found["ContentLength"]) if found else None

    def _fetch(self, entry: RemoteEntry, start: int, stop: int) -> Body:
        options = {"IfMatch": f'"{entry.etag}"'} if entry.etag else {}
        if (start, stop) != (0, entry.bytes):
            options["Range"] = f"bytes={start}-{stop - 1}"
        with _errors(entry.path):
            return _Body(self._s3.fetch(entry.path, **options), path=entry.path)

    def _list_page(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        with _errors(self.address):
            return self._s3.list_page(options)


class _Body:
    """The body of an answer, with the errors of sources."""

    def __init__(self, body: S3Body, *, path: str) -> None:
        self._body, self._path = body, path

    def read(self, size: int, /) -> bytes:
        with _errors(self._path):
            return self._body.read(size)

    def close(self) -> None:
        self._body.close()


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """Turn the errors of a store into those of sources."""
    try:
        yield
    except StoreUnreachableError as error:
        raise SourceUnreachableError(str(error), passes=error.passes) from None
    except StoreChangedError:
        raise changed(path) from None
    except StoreMissingError:
        raise gone(path) from None
    except StoreError as error:
        raise CorpusError(str(error)) from None


def _make(address: str, endpoint: str | None, exclude: Sequence[str], patience_seconds: float) -> S3Source:
    return S3Source(address, endpoint=endpoint, exclude=exclude, patience_seconds=patience_seconds)
