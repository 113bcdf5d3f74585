"""Photos in a bucket of S3, or of any store that speaks its protocol, by boto3."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from image_embeddings.errors import CorpusError, SettingError, SourceUnreachableError
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.ranged_file import Body
from image_embeddings.sources.remote_source import RemoteSource, changed, gone
from image_embeddings.sources.remote_tree import RemoteEntry
from image_embeddings.sources.s3_listing import BucketFolders, entry_of
from image_embeddings.sources.skipped import Skipped

SCHEME = "s3"
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 5, 30, 3
_CONNECTIONS = 16
_REFUSED = {  # codes by which a store says that it lets nobody in by these credentials
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"),
    *("RequestTimeTooSkewed", "InvalidClientTokenId"),
}
_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role, and check its clock."
)


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
        self._bucket, _, prefix = address.removeprefix(f"{SCHEME}://").partition("/")
        if not self._bucket:
            raise SettingError(f"{address} names no bucket. Write s3://BUCKET or s3://BUCKET/PREFIX.")
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._made_client: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process needs to make the same source; it finds credentials of its own."""
        return _make, (self.address, self._endpoint, self._exclude, self._patience_seconds)

    def check(self) -> None:
        """As in `PhotoSource`."""
        self._patiently(self._list_page, {"Prefix": self._prefix, "MaxKeys": 1})

    def _begin_listing(
        self, *, skip: Callable[[Skipped], None], passed: PassedOver
    ) -> Callable[[str], Iterable[RemoteEntry]]:
        list_page = partial(self._patiently, self._list_page)
        return BucketFolders(list_page, prefix=self._prefix, skip=skip, passed=passed)

    def _stat(self, path: str) -> RemoteEntry | None:
        found: Mapping[str, Any] | None = None
        with self._errors(path, missing_is_none=True) as client:
            found = client.head_object(Bucket=self._bucket, Key=self._prefix + path)
        return entry_of(path, found, size=found["ContentLength"]) if found else None

    def _fetch(self, entry: RemoteEntry, start: int, stop: int) -> Body:
        options = {"IfMatch": f'"{entry.etag}"'} if entry.etag else {}
        if (start, stop) != (0, entry.bytes):
            options["Range"] = f"bytes={start}-{stop - 1}"
        with self._errors(entry.path) as client:
            answer = client.get_object(Bucket=self._bucket, Key=self._prefix + entry.path, **options)
        return _Body(answer["Body"], errors=lambda: self._errors(entry.path))

    def _list_page(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._errors("") as client:
            page = client.list_objects_v2(Bucket=self._bucket, **options)
        return cast(Mapping[str, Any], page)

    @property
    def _client(self) -> Any:
        with self._lock:  # a client may be used by many threads, but not be made by them
            if self._made_client is None:
                self._made_client = _make_client(self._endpoint)
            return self._made_client

    @contextmanager
    def _errors(self, path: str, *, missing_is_none: bool = False) -> Iterator[Any]:
        """Give the client, and turn its errors into ours, which repeat nothing that may be part of a request."""
        client = self._client  # says so if boto3 is missing
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        try:
            yield client
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = str(error.response.get("Error", {}).get("Code", ""))
            if not (status == 404 and missing_is_none and code != "NoSuchBucket"):
                raise self._error_of(status, code, path) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise SourceUnreachableError(f"There are no credentials for {self.address}. {_CREDENTIALS}") from None
        except (BotoCoreError, OSError) as error:
            where = self._endpoint or "AWS, or AWS_ENDPOINT_URL"
            raise SourceUnreachableError(
                f"The store of {self.address} does not answer ({type(error).__name__}). Is it up, and is its address "
                f"right ({where})? S3_ENDPOINT names another store.",
                passes=True,
            ) from None

    def _error_of(self, status: int, code: str, path: str) -> CorpusError:
        what = path or self.address
        if code in _REFUSED:
            return SourceUnreachableError(
                f"The store does not accept the credentials for {self.address} ({code}). {_CREDENTIALS}"
            )
        if status == 412:
            return changed(what)
        if status == 404 and path and code != "NoSuchBucket":
            return gone(what)
        if status == 404:
            return CorpusError(f"There is no bucket {self._bucket} ({code}). Is its name right, and S3_ENDPOINT?")
        if status == 403:
            return CorpusError(
                f"{what} cannot be opened (403 {code}): let these credentials use s3:GetObject and s3:ListBucket there."
            )
        if status >= 500 or status == 429:
            return SourceUnreachableError(
                f"The store of {self.address} is busy or fails ({status} {code}). Try again later.", passes=True
            )
        return CorpusError(f"{what} cannot be opened ({status} {code}): look after the store and index again.")


class _Body:
    """The body of an answer, with errors of ours."""

    def __init__(self, body: Any, *, errors: Callable[[], Any]) -> None:
        self._body, self._errors = body, errors

    def read(self, size: int, /) -> bytes:
        with self._errors():
            return cast(bytes, self._body.read(size))

    def close(self) -> None:
        self._body.close()


def _make(address: str, endpoint: str | None, exclude: Sequence[str], patience_seconds: float) -> S3Source:
    return S3Source(address, endpoint=endpoint, exclude=exclude, patience_seconds=patience_seconds)


def _make_client(endpoint: str | None) -> Any:
    try:
        from boto3.session import Session
        from botocore.config import Config
    except ImportError:
        raise SettingError(
            "Photos in S3 need the package boto3, which is not installed. In a clone: .venv/bin/python -m pip install "
            "-r requirements-s3.txt. Elsewhere: pip install 'image-search[s3]'."
        ) from None
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
        # Stores at an address of their own have no host name for each bucket.
        s3={"addressing_style": "path"} if endpoint else {},
    )
    return Session().client(SCHEME, endpoint_url=endpoint, config=config)
