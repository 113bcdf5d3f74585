"""The photos and queries of benchmarks/scale.py, with the truth about what is nearest."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import made_embeddings as made
from image_embeddings.documents import Embedding, Embeddings, ImageDocument
from image_embeddings.es.filters import Filters
from image_embeddings.evaluation import ExactNearest

K = 10
QUERIES = 100  # of each sort
LABELS = {"half": 0.5, "5 %": 0.05, "0.5 %": 0.005}  # share of the photos that have the label, by chance
FOLDER = "birds"  # most queries are far from it
FILTERS: dict[str, Filters] = {
    "none": Filters(),
    **{label: Filters(values={"label": (label,)}) for label in LABELS},
    "a folder": Filters(values={"folder": (FOLDER,)}),
}
BLOCK = 10_000


@dataclass(frozen=True)
class Corpus:
    """A number of photos and the queries, kept in a folder."""

    cuts: made.Cuts
    photos: int
    home: Path

    @cached_property
    def embeddings(self) -> Embeddings:
        """All embeddings, shape (photos, dims), read from a file as needed. It is made if it is missing."""
        file = self.home / "embeddings.npy"
        if not file.exists():
            unfinished = file.with_suffix(".part")
            shape = self.photos, self.cuts.corpus.shape[1]
            stored = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float32, shape=shape)
            shown = np.empty(self.photos, np.int64)
            for begin, (block, photos) in enumerate(
                made.mixes(self.cuts.corpus, each=made.CUTS, number=self.photos, seed=1)
            ):
                part = slice(begin * made.BLOCK, begin * made.BLOCK + len(block))
                stored[part], shown[part] = block, photos
            stored.flush()
            np.save(self.home / "shown.npy", shown)
            unfinished.rename(file)
        return np.load(file, mmap_mode="r")

    @cached_property
    def labels(self) -> NDArray[np.str_]:
        """The label of each photo."""
        drawn = np.random.default_rng(2).random(self.photos)
        labels = np.full(self.photos, "other", dtype="U8")
        least = 0.0
        for label, share in LABELS.items():
            labels[(drawn >= least) & (drawn < least + share)] = label
            least += share
        return labels

    @cached_property
    def folders(self) -> NDArray[np.str_]:
        """The folder of each photo: that of the sample photo that it shows most of."""
        _ = self.embeddings  # they make the file
        return self.cuts.kinds[np.load(self.home / "shown.npy")]

    def documents(self) -> Iterator[tuple[ImageDocument, Embedding]]:
        """Yield what is indexed."""
        for number in range(self.photos):
            yield document(number, str(self.folders[number]), str(self.labels[number])), self.embeddings[number]

    @cached_property
    def queries(self) -> dict[str, Embeddings]:
        """The queries, shape (QUERIES, dims): mixes of cuts that are in no photo of the corpus, and captions."""
        photos, _ = next(made.mixes(self.cuts.held_out, each=made.HELD_OUT, number=QUERIES, seed=3))
        return {"photos": photos, "texts": self.cuts.texts[:QUERIES]}

    def score(self, query: Embedding, image_id: str) -> float:
        """Return the true score of a photo, whatever the index rounds: (1 + cosine) / 2."""
        return float(1 + query @ self.embeddings[number_of(image_id)]) / 2

    def passing(self, name: str, part: slice) -> NDArray[np.bool_]:
        """Return which photos of a part pass the filter of that name."""
        labels = self.labels[part]
        if name == "none":
            return np.ones(len(labels), bool)
        return self.folders[part] == FOLDER if name == "a folder" else labels == name

    @cached_property
    def truth(self) -> dict[str, NDArray[np.float32]]:
        """ "sort of queries, filter" -> the scores of the K nearest to each query, by exact search."""
        file = self.home / "truth.npz"
        if not file.exists():
            nearest = {(s, f): ExactNearest(q, k=K) for s, q in self.queries.items() for f in FILTERS}
            for begin in range(0, self.photos, BLOCK):
                part = slice(begin, begin + BLOCK)
                for (_, name), exact in nearest.items():
                    exact.feed(self.embeddings[part][self.passing(name, part)])
            unfinished = file.with_suffix(".part.npz")
            arrays: dict[str, Any] = {f"{sort}, {name}": exact.scores for (sort, name), exact in nearest.items()}
            np.savez(unfinished, **arrays)
            unfinished.rename(file)
        with np.load(file) as stored:
            return {name: stored[name] for name in stored.files}


def number_of(image_id: str) -> int:
    """Return the number of a photo."""
    return int(image_id.rsplit("_", 1)[1].removesuffix(".jpg"))


def document(number: int, folder: str, label: str) -> ImageDocument:
    """Return the document of a photo, with what most photos have."""
    return ImageDocument(
        image_id=f"{folder}/{number % 1000:03}/IMG_{number:07}.jpg",
        width=4032,
        height=3024,
        bytes=3_000_000 + number,
        mtime_ns=1_700_000_000_000_000_000 + number * 60_000_000_000,
        content_hash=f"{number * 2654435761 % 2**64:032x}",
        ctime_ns=1_700_000_000_000_000_000 + number * 60_000_000_000,
        inode=number + 1,
        taken=f"20{number % 25:02}-{1 + number % 12:02}-{1 + number % 28:02}T{number % 24:02}:30:00",
        camera_make="Maker",
        camera_model=f"Camera {number % 40}",
        location=(number % 120 - 60 + 0.5, number % 340 - 170 + 0.5),
        label=label,
        preview="",
        fingerprint="",
    )
