"""Files in a bucket of S3: a file appears as a whole by one request, and nothing is ever renamed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from image_embeddings.errors import StoreChangedError, StoreError, StoreMissingError
from image_embeddings.file_stores.ranged_file import open_ranges
from image_embeddings.file_stores.remote_store import RemoteStore
from image_embeddings.file_stores.s3_connection import S3Connection

PIECE_BYTES = 32 * 2**20  # larger files are sent in pieces of this size; a file has 10,000 of them at most
_RIGHTS = (
    "s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and "
    "s3:ListBucketMultipartUploads"
)
_WRITER = "writer"  # metadata of an object: a random text by which a run knows its own


class S3Store(RemoteStore):
    """A `FileStore` below `s3://BUCKET/PREFIX`.

    There is no lock. Files are made by `If-None-Match`: of two runs that write the same name, the second gets an error.
    """

    def __init__(self, address: str, *, endpoint: str | None = None, patience_seconds: float = 0.0) -> None:
        """Take the address, and the address of the store if it is not Amazon's; connect to nothing yet.

        Requests are repeated for `patience_seconds` if the store does not answer.

        Raises:
            SettingError: if the address names no bucket.
        """
        super().__init__(patience_seconds=patience_seconds)
        self._s3 = S3Connection(address, endpoint=endpoint, rights=_RIGHTS)

    @property
    def address(self) -> str:
        """As in `FileStore`."""
        return self._s3.address

    @contextmanager
    def hold(self) -> Iterator[None]:
        """As in `FileStore`: it only looks whether the bucket is there."""
        self._patiently(self._s3.list_page, {"MaxKeys": 1})
        yield

    def list_files(self) -> dict[str, int]:
        """As in `FileStore`. Objects that only stand for folders are no files."""
        sizes: dict[str, int] = {}
        more: dict[str, Any] = {}
        while True:
            page = self._patiently(self._s3.list_page, more)
            found = {item["Key"].removeprefix(self._s3.prefix): item["Size"] for item in page.get("Contents", ())}
            sizes |= {name: size for name, size in found.items() if name and not name.endswith("/")}
            if not page.get("IsTruncated"):
                return dict(sorted(sizes.items()))
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _read(self, name: str) -> bytes:
        with closing(self._s3.fetch(name)) as body:
            return body.read_all()

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """As in `FileStore`. The file is known by its ETag: one that is replaced meanwhile is an error."""
        found = self._find(name)
        if found is None:
            raise StoreMissingError(f"There is no file {self.path_of(name)}.")

        def fetch(start: int, stop: int) -> Any:
            span = f"bytes={start}-{stop - 1}"
            return self._patiently(self._s3.fetch, name, IfMatch=found["ETag"], Range=span)

        with open_ranges(fetch, size=found["ContentLength"]) as file:
            yield file

    def _fetch_into(self, path: Path, name: str) -> None:
        with closing(self._s3.fetch(name)) as body, path.open("wb") as file:
            while data := body.read(2**20):  # a content that ends early is an error
                file.write(data)

    def _send(self, name: str, path: Path, *, replace: bool) -> None:
        writer = uuid.uuid4().hex
        options: dict[str, Any] = {"Metadata": {_WRITER: writer}}
        condition = {} if replace else {"IfNoneMatch": "*"}
        try:
            if path.stat().st_size <= PIECE_BYTES:
                self._patiently(self._put, name, path.read_bytes(), options | condition)
            else:
                self._send_pieces(name, path, options, condition)
        except (StoreChangedError, StoreMissingError):
            found = self._find(name)
            if found and found["Metadata"].get(_WRITER) == writer:
                return  # the answer to the request that wrote it was lost, and the request was made again
            raise StoreError(
                f"Another run has written {self.path_of(name)} meanwhile. Let one run at a time write into "
                f"{self.address}; the same command goes on when the other one has ended."
            ) from None

    def _put(self, name: str, data: bytes, options: Mapping[str, Any]) -> None:
        with self._s3.request(name) as client:
            client.put_object(**self._s3.place_of(name), Body=data, **options)

    def _send_pieces(self, name: str, path: Path, options: Mapping[str, Any], condition: Mapping[str, Any]) -> None:
        """Send a large file. It is not there before the last request, which names all pieces."""
        if condition and self._find(name):  # not every store knows the condition in that request
            raise StoreChangedError(name)
        upload = self._call("create_multipart_upload", name, **options)["UploadId"]
        try:
            pieces: list[dict[str, Any]] = []
            with path.open("rb") as file:
                while data := file.read(PIECE_BYTES):
                    number = len(pieces) + 1
                    sent = self._call("upload_part", name, UploadId=upload, PartNumber=number, Body=data)
                    pieces.append({"PartNumber": number, "ETag": sent["ETag"]})
            together = {"Parts": pieces}
            self._call("complete_multipart_upload", name, UploadId=upload, MultipartUpload=together, **condition)
        except BaseException:
            self._abort(name, upload)
            raise

    def remove(self, name: str) -> None:
        """As in `FileStore`."""
        self._call("delete_object", name)

    def remove_unfinished(self) -> None:
        """As in `FileStore`: the pieces of files of which a run that was killed did not send all."""
        more: dict[str, Any] = {}
        while True:
            page = self._patiently(self._list_uploads, more)
            for item in page.get("Uploads", ()):
                self._abort(item["Key"].removeprefix(self._s3.prefix), item["UploadId"])
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _list_uploads(self, more: Mapping[str, Any]) -> Any:
        with self._s3.request("") as client:
            return client.list_multipart_uploads(Bucket=self._s3.bucket, Prefix=self._s3.prefix, **more)

    def _abort(self, name: str, upload: str) -> None:
        with suppress(StoreMissingError), self._s3.request(name) as client:  # perhaps it is complete after all
            client.abort_multipart_upload(**self._s3.place_of(name), UploadId=upload)

    def _find(self, name: str) -> Mapping[str, Any] | None:
        return self._patiently(self._s3.find, name)

    def _call(self, operation: str, name: str, **options: Any) -> Any:
        def call() -> Any:
            with self._s3.request(name) as client:
                return getattr(client, operation)(**self._s3.place_of(name), **options)

        return self._patiently(call)
