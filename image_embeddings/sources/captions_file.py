"""The captions file: a CSV table of image_id, language and caption, with captions in several languages."""

import csv
from collections import defaultdict
from pathlib import Path

from image_embeddings.errors import CorpusError

CAPTIONS = "captions.csv"  # looked for in the folder of the photos
_COLUMNS = ("image_id", "language", "caption")


def read_captions(path: Path) -> dict[str, dict[str, list[str]]]:
    """Return the captions as a dict: language -> caption -> image_ids of the photos with this caption.

    Raises:
        CorpusError: if the file cannot be read, or if a line lacks a column. The message names the line.
    """
    captions: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                if any(not row.get(column) for column in _COLUMNS):
                    raise CorpusError(f"{path}, line {number}: needs the columns {', '.join(_COLUMNS)}, none empty.")
                captions[row["language"]][row["caption"]].append(row["image_id"])
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"The captions cannot be read from {path}: {error}.") from error
    return captions
