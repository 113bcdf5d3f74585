"""The key that this app signs with. All its processes have the same one, and a restart does not change it."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from image_embeddings import Settings

FILE = "signing-key"  # in DATA_DIR
BYTES = 32

log = logging.getLogger(__name__)


def signing_key(settings: Settings, purpose: str) -> bytes:
    """Return the key for one purpose, 32 bytes. Keys for other purposes cannot be told from it.

    It is made from SECRET_KEY, or else from random bytes that are kept in DATA_DIR, where only their owner may read
    them. If they cannot be kept there, the key is as good as any, but this process alone has it.
    """
    secret = settings.secret_key.encode() if settings.secret_key else _kept_secret(settings.data_dir / FILE)
    return hmac.digest(secret, purpose.encode(), "sha256")


def _kept_secret(path: Path) -> bytes:
    """Return the bytes in the file. If it does not exist or is damaged, make it, once for all processes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = _read(path)
        if kept is None:
            _write_new(path)
            kept = _read(path)
        if kept is not None:
            return kept
    except OSError as error:
        log.warning("No key can be kept in %s (%s), so each process and each start has another.", path, error.strerror)
    return secrets.token_bytes(BYTES)


def _read(path: Path) -> bytes | None:
    """Return the bytes in the file, or None if there is no file, or if it is damaged, and then removed."""
    with suppress(FileNotFoundError):
        kept = path.read_bytes()
        if len(kept) == BYTES:
            return kept
        path.unlink()
    return None


def _write_new(path: Path) -> None:
    """Write the file, whole or not at all; leave the one that another process has written meanwhile."""
    unfinished = path.with_name(f"{FILE}.{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
