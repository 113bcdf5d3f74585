"""Secrets in files that only their owner can read: made once, and kept."""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from image_embeddings.errors import DataDirError

ONLY_OWNER = 0o600
_KEY = re.compile("[0-9a-f]{64}")


def keep_key(path: Path) -> str:
    """Return the key in a file: 32 random bytes in hexadecimal. It is made and kept as `keep_secret` says."""
    return keep_secret(path, lambda: secrets.token_hex(32), is_sound=lambda key: bool(_KEY.fullmatch(key)))[0]


def keep_secret(path: Path, make: Callable[[], str], *, is_sound: Callable[[str], bool]) -> tuple[str, bool]:
    """Return the secret in a file, and whether it is new.

    If there is no such file, or if what it holds is not sound, `make` makes a new secret, which is kept in the file. Of
    several processes that do so at the same time, all return the same secret. Others on this machine cannot read it.

    Raise DataDirError if the file can be neither read nor written.
    """
    try:
        kept = _read(path)
        if kept is not None and is_sound(kept):
            return kept, False
        path.parent.mkdir(parents=True, exist_ok=True)
        with _hold_lock(path.with_name(f".{path.name}.lock")):
            kept = _read(path)
            if kept is not None and is_sound(kept):
                return kept, False
            secret = make()
            _write(path, secret)
            return secret, True
    except OSError as error:
        raise DataDirError(
            f"The secret in {path} can be neither read nor made ({error.strerror or error}). The user that runs the "
            "web app has to be able to write into DATA_DIR."
        ) from error


@contextmanager
def _hold_lock(path: Path) -> Iterator[None]:
    """Hold a lock against other threads and processes. Its file is removed at the end."""
    descriptor = _open_locked(path)
    while descriptor is None:
        descriptor = _open_locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _open_locked(path: Path) -> int | None:
    """Wait for the lock of the file and return its descriptor; None if another holder has removed the file."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, ONLY_OWNER)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    os.close(descriptor)
    return None


def _read(path: Path) -> str | None:
    """Return the text in the file, or None if there is none. From now on, only its owner can read it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                with suppress(OSError):  # a file of another user, or on a disk that is read only
                    os.fchmod(file.fileno(), ONLY_OWNER)
            return file.read().strip()
    except FileNotFoundError:
        return None


def _write(path: Path, secret: str) -> None:
    """Write the file, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, ONLY_OWNER), "w") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
