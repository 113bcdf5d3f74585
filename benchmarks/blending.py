"""Measure what the search for words in file names adds: recall of the sample photos' captions by the weight of words.

    python benchmarks/blending.py

The baseline in the same run is the search by embedding alone. The photos' file names are English words for what they
show ("birds/blackbird.jpg"). So the English figures are an upper bound. Names such as IMG_1234.jpg would add nothing.
"""

import tempfile
from collections.abc import Iterator

from image_embeddings import ImageSearch, load_settings
from image_embeddings.assembly import open_search
from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.es.opening import embedded_node
from image_embeddings.evaluation import recall_at_k
from image_embeddings.indexing.runs import index_photos
from image_embeddings.search import request
from image_embeddings.sources.captions_file import CAPTIONS, read_captions

WEIGHTS = (None, 0.1, 0.25, 0.5, 1.0, 2.0)  # None: no words
RANKS = (1, 10)


class Silent:
    """A progress bar that shows nothing."""

    def update(self, n: float | None = 1, /) -> None:
        """Do nothing."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Do nothing."""


def recalls(engine: ImageSearch, texts: dict[str, list[str]], *, words: bool) -> Iterator[float]:
    """Yield the mean recall at each of RANKS."""
    found = {text: [hit.image_id for hit in engine.by_text(text, k=max(RANKS), words=words).hits] for text in texts}
    for k in RANKS:
        yield sum(recall_at_k(found[text], ids, k=k) for text, ids in texts.items()) / len(texts)


def main() -> None:
    """Print a row for each weight, with a column for each language."""
    captions = read_captions(SAMPLE_PHOTOS / CAPTIONS)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"DATA_DIR": folder, "IMAGE_MODEL": "conse"})
        try:
            index_photos(settings, progress=lambda total: Silent())
            engine = open_search(settings)
            print(f"| weight | {' | '.join(captions)} |\n|---{'|---' * len(captions)}|")
            for weight in WEIGHTS:
                request.WORDS = weight or 0.0
                cells = [list(recalls(engine, texts, words=weight is not None)) for texts in captions.values()]
                row = " | ".join("/".join(f"{share:.2f}" for share in cell) for cell in cells)
                print(f"| {weight or 'none'} | {row} |", flush=True)
        finally:
            embedded_node(settings).stop()


if __name__ == "__main__":
    main()
