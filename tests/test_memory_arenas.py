"""Threads share the arenas of the allocator. glibc itself says how many there are (malloc_info)."""

import subprocess
import sys
from pathlib import Path

import pytest

from image_embeddings.memory_arenas import ARENAS

THREADS = 8
COUNT = f"""
import ctypes, sys, threading
if len(sys.argv) > 2:
    from image_embeddings.memory_arenas import limit_arenas
    limit_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
together = threading.Barrier({THREADS})
def allocate():
    together.wait()
    for _ in range(1_000):
        libc.malloc(1_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


def arenas(path, *options):
    """Return how many arenas a process has whose threads allocate memory at the same time."""
    subprocess.run([sys.executable, "-c", COUNT, str(path), *options], check=True, timeout=60)
    return path.read_text().count("<heap nr=")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_threads_share_few_arenas(tmp_path):
    path = Path(tmp_path) / "arenas.xml"
    assert arenas(path) > ARENAS
    assert arenas(path, "limited") == ARENAS
