"""File systems on other machines, by drivers of fsspec. This module alone imports fsspec."""

from __future__ import annotations

from typing import Any

from image_embeddings.errors import SettingError, first_line


def open_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path of its folder there.

    Raises:
        SettingError: if there is no driver for it.
    """
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(address)
    except ImportError as error:
        raise SettingError(f"{address} needs a driver of fsspec: {first_line(error)}.") from None
    except ValueError:
        raise SettingError(
            f"{address} is no address that can be used. Name a folder, s3://BUCKET/PREFIX, webhdfs://HOST:PORT/PATH, "
            "or an address that fsspec knows."
        ) from None
    return system, root


def join_path(folder: str, name: str) -> str:
    """Return the path of a name in a folder. Either may be empty."""
    return f"{folder.rstrip('/')}/{name}" if folder.rstrip("/") and name else folder or name
