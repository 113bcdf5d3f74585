"""Faults of decoders. Only processes that a test starts with this module have them.

A file asks for a fault by bytes at its end: a word, and a path for what happens only once or is waited for.
"""

import ctypes
import os
import signal
import time
from pathlib import Path

import numpy as np

from image_embeddings.photos import decoding

MARK = b"\xff\xd9FAULT "  # the end of a JPEG, and what follows

load = decoding._load


def faulty_load(data, **options):
    _, found, what = data.rpartition(MARK)
    if found:
        word, _, path = what.decode().partition(" ")
        FAULTS[word](Path(path))
    return load(data, **options)


def crash(_path):
    ctypes.string_at(0)


def abort(_path):
    os.abort()


def end(_path):
    os._exit(0)


def hang(path):
    path.write_text(str(os.getpid()))
    ctypes.CDLL(None).sleep(10_000)  # in C, where Python gets no signal and sees no end of a connection


def spin(path):
    path.write_text(str(os.getpid()))
    while True:
        pass


def killed(_path):
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(path):
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def devour(_path):
    np.ones(2**31, np.uint8)


def mistake(_path):
    raise AttributeError("a fault of ours")


def keep(_path):
    faulty_load.kept = np.ones(2**27 + 2**24, np.uint8)


def wait(path):
    path.touch()
    while path.exists():
        time.sleep(0.01)


def babble(_path):
    os.write(1, b"data corrupted at 42\n")
    os.write(2, b"data corrupted at 42\n")


FAULTS = {
    "babble": babble,
    "crash": crash,
    "abort": abort,
    "end": end,
    "hang": hang,
    "spin": spin,
    "killed": killed,
    "killed-once": killed_once,
    "devour": devour,
    "mistake": mistake,
    "keep": keep,
    "wait": wait,
}
decoding._load = faulty_load
