"""The terms of a text: what of it is looked for in the photos' own words, and whether it says anything at all.

A term is what people type without a space between: a word, or a name such as IMG_0007. Function words are no terms.
Chinese and Japanese have no spaces. There a term is a run of one script, and the particles between are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from image_embeddings.words.function_words import meaningful

TEXTS_KEPT = 1_000  # number of texts whose terms are kept: a search needs them several times
MAX_TERMS = 32  # a text of more is a story, and no photo has all words of one
_WORD = re.compile(r"[^\W_]+")
_WORD_WITH_MARKS = re.compile(r"(?:[^\W_]|[\u0300-\u036f\u064b-\u065f\u0e31-\u0e4e])+")  # of Latin, Arabic, Thai
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc\u00b4`]")
_HAN = r"\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HIRAGANA = r"\u3041-\u309f"
_KATAKANA = r"\u30a0-\u30ff\uff66-\uff9d"
_HANGUL = r"\uac00-\ud7a3"
_DIGITS = r"0-9\uff10-\uff19"
_SCRIPTS = re.compile(
    f"[{_HAN}{_DIGITS}]*[{_HAN}][{_HAN}{_DIGITS}]*|[{_HIRAGANA}]+|[{_KATAKANA}]+|[^{_HAN}{_HIRAGANA}{_KATAKANA}]+"
)
_CHINESE_OR_JAPANESE = re.compile(f"[{_HAN}{_HIRAGANA}{_KATAKANA}]")
_ONLY_HIRAGANA = re.compile(f"[{_HIRAGANA}]+")
_PARTICLES = "のはがをにでともへや"  # of Japanese, one character each, at the end of a run of Hiragana
_BETWEEN = re.compile(r'[\s,;:!?"…«»„“”、。，！？；：「」『』・،؛؟¡¿]+')
_EDGES = ".()[]"
_OF = re.compile("(?<=.)的(?=.)")  # it joins Chinese words, as "of" does
# Particles of Korean, which stand at the end of a noun. Longer ones first.
_PARTICLES_OF_NOUNS = "에서 에게 까지 부터 으로 처럼 보다 은 는 이 가 을 를 의 에 로 와 과 도 만"
_KOREAN_NOUN = re.compile(f"([{_HANGUL}]{{2,}}?)(?:{_PARTICLES_OF_NOUNS.replace(' ', '|')})")


@dataclass(frozen=True)
class Term:
    """One thing to look for. A photo has it if one of `phrases` or `spelling` is among its own words."""

    phrases: tuple[str, ...]  # words that stand next to each other, split as `words_of` splits names
    spelling: str  # as the text has it

    def spellings(self) -> list[str]:
        """Return the ways to write the term, with each kind of apostrophe."""
        ways = {_APOSTROPHES.sub(apostrophe, self.spelling) for apostrophe in "'\u2019"}
        return sorted(ways)


def words_of(texts: Iterable[str]) -> str:
    """Return the words in names, with spaces between. `IMG_1234` has two; Elasticsearch would read it as one."""
    return " ".join(word for text in texts for word in _WORD.findall(unicodedata.normalize("NFC", text)))


@lru_cache(TEXTS_KEPT)
def terms_of(text: str) -> tuple[Term, ...]:
    """Return the terms of a text that say something, each once, MAX_TERMS at most."""
    pieces = list(_pieces(text))
    says = meaningful([_WORD_WITH_MARKS.findall(piece) for piece, _ in pieces])
    terms = dict.fromkeys(_term(*piece) for piece, says_something in zip(pieces, says, strict=True) if says_something)
    return tuple(terms)[:MAX_TERMS]


@lru_cache(TEXTS_KEPT)
def meaning_of(text: str) -> str:
    """Return what of a text may say something: its terms, and its signs, such as emoji. It is empty if nothing may."""
    signs = "".join(character for character in text if unicodedata.category(character) == "So")
    return " ".join([*(term.spelling for term in terms_of(text)), *([signs] if signs else [])])


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield the pieces of a text that have words, each with what stands between the spaces or commas around it."""
    for chunk in _BETWEEN.split(unicodedata.normalize("NFC", text)):
        if _CHINESE_OR_JAPANESE.search(chunk):
            pieces = [(piece, piece) for piece in _runs(chunk)]
        else:
            pieces = [(piece, chunk) for piece in _APOSTROPHES.split(chunk)]
        several = sum(bool(words_of([piece])) for piece, _ in pieces) > 1
        for piece, spelling in pieces:
            words = words_of([piece])
            # What is left of an apostrophe or right of it, as in "l'église" and "Grandma's", is no word if it is short.
            if words and not (several and len(words) == 1 and not _CHINESE_OR_JAPANESE.match(words)):
                yield piece, spelling


def _runs(chunk: str) -> Iterator[str]:
    """Yield the runs of one script in Chinese or Japanese. Digits belong to the Han characters beside them."""
    runs = [part for run in _SCRIPTS.findall(chunk) for part in _OF.split(run)]
    for place, run in enumerate(runs):
        if _ONLY_HIRAGANA.fullmatch(run):
            run = run if place == len(runs) - 1 else run.rstrip(_PARTICLES)
            if len(run) < 2 and len(runs) > 1:  # a particle, or the ending of a word
                continue
        yield run


def _term(piece: str, spelling: str) -> Term:
    words = words_of([piece])
    noun = _KOREAN_NOUN.fullmatch(words)
    return Term((words, noun[1]) if noun else (words,), spelling.strip(_EDGES))
