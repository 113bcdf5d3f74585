"""How photos and hits are shown: pure functions for the templates."""

from collections.abc import Iterator
from typing import NamedTuple

from flask import Flask

from image_embeddings import SHORT_SIDE, SUFFIXES, Hit, ImageDocument, SearchResult

NARROWEST, WIDEST = 0.56, 3.0  # beyond, tiles are of no use: what is longer is cut in the grid, never in the lightbox

# Similarities from which on a photo is called similar and very similar. Models differ, and texts are farther from
# photos than photos are. `conse`: as seen over the sample photos, where a text that fits nothing reaches 0.25. The
# others are CLIP's usual ones.
_CONSE = {"text": (0.28, 0.42), "photo": (0.40, 0.65)}
_CLIP = {"text": (0.24, 0.29), "photo": (0.70, 0.85)}


class HitGroup(NamedTuple):
    """Hits that stand under one heading."""

    matches: bool  # False: the nearest there are, and not what was looked for
    hits: tuple[Hit, ...]


def init_app(app: Flask) -> None:
    """Makes the functions known to the templates."""
    app.add_template_filter(shape)
    app.add_template_filter(nearness)
    app.add_template_filter(groups)
    app.jinja_env.globals.update(photo_suffixes=sorted(SUFFIXES), photo_short_side=SHORT_SIDE)


def shape(document: ImageDocument) -> str:
    """The classes of a tile that has the photo's proportions (grid.css): `t13 o6` is 1.36 times as wide as high.

    Classes, because the content security policy allows no style in the page.
    """
    ratio = min(max(document.width / max(document.height, 1), NARROWEST), WIDEST)
    tenths, hundredths = divmod(round(ratio * 100), 10)
    return f"t{tenths} o{hundredths}"


def nearness(hit: Hit, result: SearchResult, several: bool = False) -> int:
    """How near a hit is: 1 loosely similar, 2 similar, 3 very similar.

    What is known to match is never called loose, and the rest never more than that, whatever page it is on. Where
    `several` parts are searched for together, cosines lie where neither those of texts nor of photos do: no hit is
    called very similar.
    """
    kind = "text" if result.text_encoder else "photo"
    bounds = (_CONSE if result.model_id == "conse" else _CLIP)[kind]
    level = 1 + sum((hit.similarity or 0) >= bound for bound in bounds)
    if hit.matches is not None:
        level = max(level, 2) if hit.matches else 1
    return min(level, 2) if several else level


def groups(result: SearchResult) -> Iterator[HitGroup]:
    """The hits that match, and those that do not, as far as that is known; no empty group."""
    relevant = result.relevant
    cut = len(result.hits) if relevant is None else relevant
    for group in (HitGroup(True, result.hits[:cut]), HitGroup(False, result.hits[cut:])):
        if group.hits:
            yield group
