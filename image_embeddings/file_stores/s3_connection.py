"""Requests to a bucket of S3, or of any store that speaks its protocol, by boto3. This module alone uses boto3."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from image_embeddings.errors import (
    SettingError,
    StoreChangedError,
    StoreError,
    StoreMissingError,
    StoreUnreachableError,
)

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


class S3Connection:
    """The bucket and the prefix of `s3://BUCKET/PREFIX`. Credentials come from where boto3 looks for them.

    Any thread may use it. `rights` are what the credentials have to allow, for messages.
    """

    def __init__(self, address: str, *, endpoint: str | None = None, rights: str) -> None:
        """Take the address, and the address of the store if it is not Amazon's; connect to nothing yet.

        Raises:
            SettingError: if the address names no bucket.
        """
        self.address, self.endpoint, self._rights = address, endpoint, rights
        self.bucket, _, prefix = address.removeprefix(f"{SCHEME}://").partition("/")
        if not self.bucket:
            raise SettingError(f"{address} names no bucket. Write s3://BUCKET or s3://BUCKET/PREFIX.")
        self.prefix = f"{prefix}/" if prefix else ""
        self._lock = threading.Lock()
        self._made_client: Any = None

    def place_of(self, path: str) -> dict[str, str]:
        """Return the bucket and the key of a file, as requests name them."""
        return {"Bucket": self.bucket, "Key": self.prefix + path}

    def list_page(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the store says is below the prefix, or below another one of `options`: up to 1,000 objects."""
        with self.request("") as client:
            page = client.list_objects_v2(**{"Bucket": self.bucket, "Prefix": self.prefix, **options})
        return cast(Mapping[str, Any], page)

    def find(self, path: str) -> Mapping[str, Any] | None:
        """Return what the store says of a file without its content, or None if there is none."""
        try:
            with self.request(path) as client:
                return cast(Mapping[str, Any], client.head_object(**self.place_of(path)))
        except StoreMissingError:
            return None

    def fetch(self, path: str, **options: str) -> S3Body:
        """Return the content of a file, or of a part of it."""
        with self.request(path) as client:
            answer = client.get_object(**self.place_of(path), **options)
        return S3Body(answer["Body"], errors=lambda: self.request(path))

    @contextmanager
    def request(self, path: str) -> Iterator[Any]:
        """Give the client, and turn its errors into ours, which repeat nothing that may be part of a request."""
        client = self._client  # says so if boto3 is missing
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        try:
            yield client
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise self.error_of(status, code, path) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise StoreUnreachableError(f"There are no credentials for {self.address}. {_CREDENTIALS}") from None
        except (BotoCoreError, OSError) as error:
            where = self.endpoint or "AWS, or AWS_ENDPOINT_URL"
            raise StoreUnreachableError(
                f"The store of {self.address} does not answer ({type(error).__name__}). Is it up, and is its address "
                f"right ({where})? S3_ENDPOINT names another store.",
                passes=True,
            ) from None

    def error_of(self, status: int, code: str, path: str) -> StoreError:
        """Return our error for a refusal of the store."""
        what = path or self.address
        if code in _REFUSED:
            return StoreUnreachableError(
                f"The store does not accept the credentials for {self.address} ({code}). {_CREDENTIALS}"
            )
        if status == 412 or (status == 409 and code == "ConditionalRequestConflict"):
            return StoreChangedError(f"{what} has changed meanwhile.")
        if status == 404 and path and code != "NoSuchBucket":
            return StoreMissingError(f"{what} cannot be opened (not found).")
        if status == 404:
            return StoreError(f"There is no bucket {self.bucket} ({code}). Is its name right, and S3_ENDPOINT?")
        if status == 403:
            return StoreError(f"{what} cannot be opened (403 {code}): let these credentials use {self._rights} there.")
        if status >= 500 or status == 429:
            return StoreUnreachableError(
                f"The store of {self.address} is busy or fails ({status} {code}). Try again later.", passes=True
            )
        return StoreError(f"{what} cannot be opened ({status} {code}): look after the store, then try again.")

    @property
    def _client(self) -> Any:
        with self._lock:  # a client may be used by many threads, but not be made by them
            if self._made_client is None:
                self._made_client = _make_client(self.endpoint)
            return self._made_client


class S3Body:
    """The body of an answer, with errors of ours."""

    def __init__(self, body: Any, *, errors: Callable[[], Any]) -> None:
        self._body, self._errors = body, errors

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        with self._errors():
            return cast(bytes, self._body.read(size))

    def read_all(self) -> bytes:
        """Return what is left. A content that ends early is an error."""
        with self._errors():
            return cast(bytes, self._body.read())

    def close(self) -> None:
        """Give the connection back, or close it if something is left."""
        self._body.close()


def _make_client(endpoint: str | None) -> Any:
    try:
        from boto3.session import Session
        from botocore.config import Config
    except ImportError:
        raise SettingError(
            "Addresses of S3 need the package boto3, which is not installed. In a clone: .venv/bin/python -m pip "
            "install -r requirements-s3.txt. Elsewhere: pip install 'image-search[s3]'."
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
