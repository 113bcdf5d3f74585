"""The arenas of the C library's allocator: regions from which threads get memory."""

from __future__ import annotations

import ctypes
from contextlib import suppress

ARENAS = 2
_M_ARENA_MAX = -8  # the name of the setting, in malloc.h of glibc


def limit_arenas() -> None:
    """Let all threads of this process share ARENAS arenas; call it before threads start.

    glibc makes up to eight for each core, takes 64 MiB of addresses for each, and gives back little of an arena. So a
    process with many threads grows for a long time. Another C library may not have the setting. Then nothing happens.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
