"""Everyday search texts, which show how likeness between texts and photos is spread in an index.

They are short phrases on many subjects, in the languages that the models know, and were written for this purpose. It
does not matter which photos an index holds. The texts only show where texts lie on the whole, and how far a text is
from photos that it does not describe (`likeness.calibrate`). A few of them describe photos of any index. That is
allowed for.
"""

from functools import cache
from importlib.resources import files


@cache
def everyday_texts() -> tuple[str, ...]:
    """Return the texts, one for each line of everyday_texts.txt."""
    return tuple(files(__package__).joinpath("everyday_texts.txt").read_text(encoding="utf-8").splitlines())
