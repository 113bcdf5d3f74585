"""Any number of embeddings, made from the sample photos: random cuts of them are encoded, and mixed.

`conse` encodes CUTS random cuts of each sample photo, and HELD_OUT further ones for queries: these embeddings are real.
An embedding of the corpus is a mix of two or three cuts' embeddings, one of which weighs at least half, plus a share of
the difference between two cuts of one photo, plus a little noise, made unit-length. So it lies between real embeddings,
varies as cuts of one photo do, and has many neighbours that show nearly the same. docs/scale.md has figures of both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.documents import Embeddings
from image_embeddings.encoders.conse import ConseEncoder
from image_embeddings.sources.captions_file import CAPTIONS, read_captions

CUTS = 10  # of each sample photo
HELD_OUT = 2  # further ones, of which only queries are made
SHORTEST = 0.35  # shortest side of a cut, as a share of the photo's
VARIATION = 0.3  # share of the difference between two cuts of one photo
NOISE = 0.05  # length of the noise, beside a length of 1
BLOCK = 10_000  # embeddings that are made at a time
TEXTS = 100  # captions that are queries


@dataclass(frozen=True)
class Cuts:
    """The embeddings of random cuts of photos."""

    corpus: Embeddings  # (photos * CUTS, dims)
    held_out: Embeddings  # (photos * HELD_OUT, dims)
    texts: Embeddings  # (TEXTS, dims): captions
    kinds: NDArray[np.str_]  # of each photo: its folder


def load_cuts(file: Path) -> Cuts:
    """Return the embeddings of the cuts from `file`, which is made if it is missing: it takes minutes."""
    if not file.exists():
        made = _encode_cuts()
        unfinished = file.with_suffix(".part.npz")
        np.savez(unfinished, corpus=made.corpus, held_out=made.held_out, texts=made.texts, kinds=made.kinds)
        unfinished.rename(file)
    with np.load(file) as stored:
        return Cuts(**{name: stored[name] for name in ("corpus", "held_out", "texts", "kinds")})


def _encode_cuts() -> Cuts:
    rng = np.random.default_rng(0)
    encoder = ConseEncoder()
    photos = sorted(SAMPLE_PHOTOS.rglob("*.jpg"))
    corpus, held_out = [], []
    for photo in photos:
        with Image.open(photo) as opened:
            image = opened.convert("RGB")
        embeddings = encoder.encode_images([_cut(image, rng) for _ in range(CUTS + HELD_OUT)])
        corpus.append(embeddings[:CUTS])
        held_out.append(embeddings[CUTS:])
    captions = sorted(read_captions(SAMPLE_PHOTOS / CAPTIONS)["en"])
    texts = encoder.encode_texts([str(text) for text in rng.permutation(captions)[:TEXTS]])
    kinds = np.array([photo.parent.name for photo in photos])
    return Cuts(np.concatenate(corpus), np.concatenate(held_out), texts, kinds)


def _cut(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = (round(side * rng.uniform(SHORTEST, 1)) for side in image.size)
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    cut = image.crop((int(left), int(top), int(left) + width, int(top) + height))
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else cut


def mixes(cuts: Embeddings, *, each: int, number: int, seed: int) -> Iterator[tuple[Embeddings, NDArray[np.int64]]]:
    """Yield `number` mixes of `cuts` in blocks of BLOCK at most, with the number of the photo that weighs most.

    `cuts` has `each` cuts of a photo one after the other. The same `seed` gives the same mixes.
    """
    for begin in range(0, number, BLOCK):
        rng = np.random.default_rng((seed, begin))
        yield _mix(cuts, each, min(BLOCK, number - begin), rng)


def _mix(cuts: Embeddings, each: int, number: int, rng: np.random.Generator) -> tuple[Embeddings, NDArray[np.int64]]:
    first, second, third = rng.integers(len(cuts), size=(3, number))
    share = rng.uniform(0.5, 1, size=(number, 1))
    split = np.where(rng.random((number, 1)) < 0.5, 1.0, rng.random((number, 1)))  # 1: no third one
    mixed = share * cuts[first] + (1 - share) * (split * cuts[second] + (1 - split) * cuts[third])
    photo = rng.integers(len(cuts) // each, size=number)
    one, other = photo * each + rng.integers(each, size=(2, number))
    mixed += VARIATION * (cuts[one] - cuts[other])
    mixed += NOISE / np.sqrt(cuts.shape[1]) * rng.standard_normal(mixed.shape)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return mixed.astype(np.float32), first // each
