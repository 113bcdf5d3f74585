"""Image files that tests make."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from tests.fakes import COLOURS


def colour_photos(folder: Path, *, suffix: str = ".png") -> Path:
    """Make a corpus of six one-colour photos: warm/{red,yellow,magenta} and cold/deep/{green,blue,cyan}."""
    for name, place in {
        "red": "warm",
        "yellow": "warm",
        "magenta": "warm",
        "green": "cold/deep",
        "blue": "cold/deep",
        "cyan": "cold/deep",
    }.items():
        save(folder / place / f"{name}{suffix}", colour=COLOURS[name])
    return folder


def save(
    path: Path, *, colour: tuple[int, int, int] | str, size: tuple[int, int] = (64, 48), **options: object
) -> Path:
    """Save a one-colour image file, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


@contextmanager
def as_nobody(place: str) -> Iterator[None]:
    """Act as an ordinary user: root may open every folder."""
    was = os.geteuid()
    if was == 0:
        os.chown(place, 65534, -1)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)
