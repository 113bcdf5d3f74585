"""Small real classes that replace something large or slow."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from image_embeddings.documents import Embeddings
from image_embeddings.encoders import Encoder

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "rot": (255, 0, 0),
}


class ColourEncoder(Encoder):
    """Embeds an image by its mean colour and a text by the colours that it names, so ranks are predictable."""

    model_id = "colour"
    dims = 4
    preprocessing = "colour-1"

    calls = 1

    def __init__(self, *, model_id: str = "colour", calls: int = 1) -> None:
        self.model_id, self.calls = model_id, calls
        self.batches: list[int] = []

    def _embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        self.batches.append(len(images))
        return np.array([_vector(np.asarray(image, np.float32).mean(axis=(0, 1))) for image in images])

    def _embed_texts(self, texts: Sequence[str]) -> Embeddings:
        return np.array([_vector(_mean_colour(text)) for text in texts])


class RecordedProgress:
    """A progress bar that records its updates."""

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self.done = 0
        self.said = ""

    def update(self, n: float | None = 1, /) -> bool:
        self.done += int(n or 0)
        return True

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        self.said = s


def _mean_colour(text: str) -> np.ndarray:
    named = [COLOURS[word] for word in text.split() if word in COLOURS]
    return np.mean(named, axis=0) if named else np.zeros(3)


def _vector(colour: np.ndarray) -> np.ndarray:
    return np.append(colour - 100, 60.0).astype(np.float32)
