"""Who may come in to the web app: its password and tokens, and where it may listen without a password."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from image_embeddings.access_settings import parse_password, parse_tokens
from image_embeddings.config import Settings
from image_embeddings.errors import SettingError
from image_embeddings.serving.secret_files import keep_key, keep_secret

Value = TypeVar("Value")
KEY_FILE = "session.key"  # in DATA_DIR
PASSWORD_FILE = "password"  # in DATA_DIR
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"  # without letters and digits that look alike
EXPOSURE_REMEDIES = (
    "Set APP_PASSWORD (or APP_PASSWORD_FILE) to a password of yours, or ALLOW_WITHOUT_PASSWORD=yes to let in everybody"
)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may come in. If there is neither a password nor a header, everybody on this machine may.

    `auth_header` is the header by which a trusted proxy names whom it has let in. `anybody` says whether other
    machines are let in without a password.
    """

    password: str | None = field(default=None, repr=False)
    tokens: tuple[str, ...] = field(default=(), repr=False)
    auth_header: str | None = None
    anybody: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether visitors have to prove who they are."""
        return self.password is not None or self.auth_header is not None


def read_access(settings: Settings) -> Access:
    """Return who may come in by the settings and the files that they name.

    Raise SettingError if a file cannot be read or holds what cannot be used, or if there are tokens without a password.
    """
    access = _read_access(settings)
    if access.tokens and not access.is_closed:
        raise SettingError(
            "API_TOKENS is set, but neither APP_PASSWORD nor AUTH_HEADER: without one of them, nobody is asked for a "
            "token. Set APP_PASSWORD (or APP_PASSWORD_FILE)."
        )
    return access


def has_access(settings: Settings) -> bool:
    """Return whether the settings say who may come in to a web app that others can reach.

    Raise SettingError if a file that they name cannot be read or holds what cannot be used.
    """
    access = _read_access(settings)
    return access.is_closed or access.anybody


def _read_access(settings: Settings) -> Access:
    password = settings.app_password or _in_file(settings.app_password_file, "APP_PASSWORD_FILE", parse_password)
    tokens = settings.api_tokens or _in_file(settings.api_tokens_file, "API_TOKENS_FILE", parse_tokens) or ()
    return Access(
        password=password,
        tokens=tokens,
        auth_header=settings.auth_header,
        anybody=settings.allow_without_password,
    )


def exposure_error(settings: Settings, hosts: Iterable[str]) -> str | None:
    """Return why the web app must not listen at these hosts, in one line with the remedies; None if it may.

    A host is a name or an IP address; an empty one means all addresses, as it does to servers. Without a password, only
    this machine may be let in.

    Raise SettingError as `read_access` does.
    """
    access = read_access(settings)
    if access.is_closed or access.anybody:
        return None
    others = [host or "all its addresses" for host in hosts if not is_this_machine(host)]
    if not others:
        return None
    return f"Others could reach the web app at {others[0]}, and it has no password. {EXPOSURE_REMEDIES}."


@lru_cache(maxsize=256)
def is_this_machine(host: str) -> bool:
    """Return whether only this machine is at that host: a loopback address, or `localhost`."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def session_secret(settings: Settings) -> str:
    """Return the secret that signs cookies: SECRET_KEY, or else a key that is made once and kept in DATA_DIR.

    Raise DataDirError if it can be neither read nor made.
    """
    if settings.secret_key:
        return settings.secret_key
    return keep_key(settings.data_dir / KEY_FILE)


def keep_made_password(settings: Settings) -> tuple[Path, str, bool]:
    """Return the file of a password that is made once and kept in DATA_DIR, the password, and whether it is new.

    Raise DataDirError if it can be neither read nor made.
    """
    path = settings.data_dir / PASSWORD_FILE
    return path, *keep_secret(path, _make_password, is_sound=_is_password)


def _make_password() -> str:
    """Return a new password of 74 random bits, which people can read and type."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(3))


def _is_password(text: str) -> bool:
    try:
        parse_password(text)
    except ValueError:
        return False
    return True


def _in_file(path: Path | None, name: str, parse: Callable[[str], Value]) -> Value | None:
    if path is None:
        return None
    try:
        value = path.read_text(encoding="utf-8").strip()
        if not value:
            raise ValueError("It is empty")
        return parse(value)
    except OSError as error:
        raise SettingError(f"{name} has value '{path}', which cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise SettingError(f"{name} has value '{path}'. That file is not a text in UTF-8.") from None
    except ValueError as error:
        raise SettingError(f"{name} has value '{path}'. What is in that file cannot be used. {error}.") from None
