"""Which source of photos an address names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from image_embeddings.config import Settings
from image_embeddings.file_stores.s3_connection import SCHEME as S3_SCHEME
from image_embeddings.setting_checks import check_address
from image_embeddings.setting_values import is_url, plain_url
from image_embeddings.sources import webhdfs
from image_embeddings.sources.folder_source import FolderSource
from image_embeddings.sources.fsspec_source import FsspecSource
from image_embeddings.sources.s3 import S3Source
from image_embeddings.sources.source import PhotoSource
from image_embeddings.sources.webhdfs import WebHdfsSource


def source_of(address: Path | str, settings: Settings, *, patience_seconds: float = 0.0) -> PhotoSource:
    """Return the photos at `address`, a folder or a URL, without what the settings leave out. Nothing is read yet.

    Lists and whole photos of other machines are asked for again for `patience_seconds` if these do not answer.

    Raises:
        SettingError: if the address names no place, or holds a password. A missing driver is named on first use.
    """
    if isinstance(address, Path):
        return FolderSource(address, leave_out=settings.data_dir, exclude=settings.exclude)
    check_address(address)
    scheme = address.partition("://")[0]
    options: dict[str, Any] = {"exclude": settings.exclude, "patience_seconds": patience_seconds}
    if scheme == S3_SCHEME:
        return S3Source(address, endpoint=settings.s3_endpoint, **options)
    if scheme in webhdfs.SCHEMES:
        return WebHdfsSource(address, **options)
    return FsspecSource(address, **options)


def parse_address(text: str) -> Path | str:
    """Return the address of photos that somebody typed: a URL as it is, a path as an absolute one."""
    return plain_url(text) if is_url(text) else Path(text).expanduser().absolute()
