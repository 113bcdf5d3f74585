"""Which store for files an address names."""

from __future__ import annotations

from pathlib import Path

from image_embeddings.config import Settings
from image_embeddings.file_stores.folder import FolderStore
from image_embeddings.file_stores.fsspec_store import FsspecStore
from image_embeddings.file_stores.s3 import S3Store
from image_embeddings.file_stores.s3_connection import SCHEME as S3_SCHEME
from image_embeddings.file_stores.store import FileStore
from image_embeddings.setting_checks import check_address

_NAMENODE_PORT = 9870


def store_at(address: Path | str, settings: Settings, *, patience_seconds: float = 0.0) -> FileStore:
    """Return the place for files at `address`, a folder or a URL. Nothing is read yet.

    Requests to other machines are repeated for `patience_seconds` if these do not answer.

    Raises:
        SettingError: if the address names no place, or holds a password. A missing driver is named on first use.
    """
    if isinstance(address, Path):
        return FolderStore(address)
    check_address(address)
    scheme, _, rest = address.partition("://")
    if scheme == S3_SCHEME:
        return S3Store(address, endpoint=settings.s3_endpoint, patience_seconds=patience_seconds)
    if scheme in ("hdfs", "webhdfs"):
        address = f"webhdfs://{_with_port(rest)}"
    return FsspecStore(address, patience_seconds=patience_seconds)


def _with_port(rest: str) -> str:
    """Return the part of an address after the scheme with the port of the NameNode for HTTP, as sources have it."""
    host, slash, path = rest.partition("/")
    has_port = host.rpartition(":")[2].isdigit()
    return f"{host if has_port else f'{host}:{_NAMENODE_PORT}'}{slash}{path}"
