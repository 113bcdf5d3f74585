"""Which settings go together, and what a file that a setting names must hold. All raise SettingError."""

from __future__ import annotations

import re
from collections.abc import Set
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dotenv.parser import parse_stream

from image_embeddings.errors import SettingError

if TYPE_CHECKING:
    from image_embeddings.config import Settings

_WITH_COMMENT = re.compile(r"[^=]*=(?!\s*['\"])[^\n]*\s#")  # a value without quotes, and a comment behind it


def check_settings(settings: Settings) -> None:
    """Return if the settings do not contradict each other. Raise SettingError if they do."""
    if settings.es_host and settings.es_cloud_id:
        raise SettingError("ES_HOST and ES_CLOUD_ID are both set. Keep the one that names your cluster.")
    if settings.es_host and not settings.es_host.startswith(("http://", "https://")):
        raise SettingError(
            f"ES_HOST has value '{settings.es_host}'. It needs a scheme: https://{settings.es_host} "
            f"(or http:// where the server has no TLS)."
        )
    if bool(settings.es_user) != bool(settings.es_pwd) and not settings.es_api_key:
        missing = "ES_PWD" if settings.es_user else "ES_USER"
        raise SettingError(f"{missing} is not set. ES_USER and ES_PWD go together (or use ES_API_KEY instead).")
    for name in ("app_password", "api_tokens"):
        if getattr(settings, name) and getattr(settings, f"{name}_file"):
            raise SettingError(f"{name.upper()} and {name.upper()}_FILE are both set. Keep one of them.")
    if settings.auth_header:
        _check_auth_header(settings)
    check_address(settings.image_dir)
    if settings.thumbnails:
        check_address(settings.thumbnails)


def check_address(address: Path | str) -> None:
    """Return if an address of photos or files holds no secret: messages show it, and the index keeps it.

    Raise SettingError, without the address, if it does.
    """
    if isinstance(address, str) and urlsplit(address).password is not None:
        raise SettingError(
            "An address of photos or files has a password in it, which messages and the index would show. Leave it out,"
            " and give it to the library of that file system in its own way."
        )


def _check_auth_header(settings: Settings) -> None:
    if not settings.trusted_proxies:
        raise SettingError(
            "AUTH_HEADER is set without TRUSTED_PROXIES: anybody could send that header. Write the address of the "
            "proxy that sets it into TRUSTED_PROXIES."
        )
    if everybody := [str(network) for network in settings.trusted_proxies if network.prefixlen == 0]:
        raise SettingError(
            f"AUTH_HEADER is set, and {everybody[0]} in TRUSTED_PROXIES is every address: anybody could send that "
            "header. Write only the address of the proxy that sets it."
        )


def read_password(file: Path, *, instead_of: str | None) -> str:
    """Return the password in the file of ES_PWD_FILE, `instead_of` the value of ES_PWD.

    Raise SettingError if both are set, or if the file cannot be read or is empty.
    """
    if instead_of:
        raise SettingError("ES_PWD and ES_PWD_FILE are both set. Keep one of them.")
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingError(f"ES_PWD_FILE has value '{file}'. The file cannot be read: {reason}.") from None
    if not password:
        raise SettingError(f"ES_PWD_FILE has value '{file}'. The file is empty.")
    return password


def check_comments(file: Path, names: Set[str]) -> None:
    """Raise SettingError if a comment follows the value of one of these settings in a file like `.env`.

    It may be the end of a password: without quotes, " #" begins a comment.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for line in parse_stream(StringIO(text)):
        if line.key in names and _WITH_COMMENT.match(line.original.string):
            raise SettingError(
                f"In {file}, what follows ' #' is a comment and no part of {line.key}. If it belongs to the value, put "
                "the whole value in single quotes. If it is a comment, give it a line of its own."
            )
