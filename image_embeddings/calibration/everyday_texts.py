"""What people search their photos for, in general: the texts against which a query's own likeness is held.

Short phrases over many subjects and in the languages that the models know, written for this purpose. Which photos an
index holds does not matter: the texts only say where texts lie, as a whole, and how far one is from photos that it
does not speak of (`calibration.calibrate`). A few of them will describe photos of any index; that is allowed for.
"""

from functools import cache
from importlib.resources import files


@cache
def everyday_texts() -> tuple[str, ...]:
    """Return the texts, one for each line of everyday_texts.txt."""
    return tuple(files(__package__).joinpath("everyday_texts.txt").read_text(encoding="utf-8").splitlines())
