"""The words that say nothing about a photo: function words of 16 languages, and the words for a photo itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

PHOTO = "photo"  # the line of the words for a photo
_ELSEWHERE, _UNLESS_ALONE = "?", "!"


@dataclass(frozen=True, kw_only=True)
class FunctionWords:
    """The words of function_words.txt, in lower case."""

    certain: dict[str, set[str]] = field(default_factory=dict)  # word -> languages
    unless_alone: dict[str, set[str]] = field(default_factory=dict)  # words that say something if nothing else does
    # Words that have a meaning in another language. They say nothing only in a text of these languages.
    ambiguous: dict[str, set[str]] = field(default_factory=dict)
    photo: set[str] = field(default_factory=set)

    def languages_of(self, words: Collection[str]) -> set[str]:
        """Return the languages that most of the function words are of. It is empty if no word shows a language."""
        counts = Counter(language for word in words for language in self._languages(word))
        most = max(counts.values(), default=0)
        return {language for language, count in counts.items() if count == most}

    def _languages(self, word: str) -> set[str]:
        return self.certain.get(word, set()) | self.unless_alone.get(word, set())


@cache
def function_words() -> FunctionWords:
    """Return the words of function_words.txt."""
    words = FunctionWords()
    kinds = {_ELSEWHERE: words.ambiguous, _UNLESS_ALONE: words.unless_alone}
    for line in files(__package__).joinpath("function_words.txt").read_text(encoding="utf-8").splitlines():
        language, colon, listed = line.partition(": ")
        if line.startswith("#") or not colon:
            continue
        for word in listed.split():
            if language == PHOTO:
                words.photo.add(word)
            else:
                kind = kinds.get(word[-1], words.certain)
                kind.setdefault(word.rstrip(_ELSEWHERE + _UNLESS_ALONE), set()).add(language)
    return words


def meaningful(pieces: Sequence[Sequence[str]]) -> list[bool]:
    """Return for each piece of a text, of one or more words, whether it says something.

    Words for a photo ("a picture of …") do if the text has no others: a folder may have that name.
    """
    known = function_words()
    plain = [[word.lower().replace("ё", "е") for word in piece] for piece in pieces]
    languages = known.languages_of([word for piece in plain for word in piece])

    def is_content(word: str) -> bool:
        if word in known.certain or word in known.unless_alone:
            return False
        # A tie of several languages shows none of them.
        return not (len(languages) == 1 and languages <= known.ambiguous.get(word, set()))

    content = [any(map(is_content, piece)) for piece in plain]
    if not any(content):
        content = [any(word not in known.certain for word in piece) for piece in plain]
    beside_photo = [said and not known.photo.issuperset(piece) for said, piece in zip(content, plain, strict=True)]
    return beside_photo if any(beside_photo) else content
