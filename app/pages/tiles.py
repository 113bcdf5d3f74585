"""How photos and hits are shown: pure functions for the templates."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from flask import Flask
from markupsafe import Markup

from app.web.addresses import address_of
from image_embeddings import SHORT_SIDE, SUFFIXES, Hit, ImageDocument, SearchResult

# Width / height of a tile. A longer photo would make a tile of no use: it is cut in the grid, but not in the lightbox.
NARROWEST, WIDEST = 0.56, 3.0

# The least similarities at which a photo is called similar and very similar. Models differ, and photos are less similar
# to texts than to other photos. Those of `conse` come from the sample photos, where a text that fits no photo reaches
# 0.25. The others are usual for CLIP.
_CONSE = {"text": (0.28, 0.42), "photo": (0.40, 0.65)}
_CLIP = {"text": (0.24, 0.29), "photo": (0.70, 0.85)}

_ICON = Markup(
    '<svg class="icon" width="20" height="20" viewBox="0 0 24 24" aria-hidden="true"><use href="{}#{}"/></svg>'
)
ICONS_KEPT = 200  # a dozen for each address that a proxy gives to this app


class HitGroup(NamedTuple):
    """Hits under one heading."""

    matches: bool  # False: these are the nearest hits that there are, but not what the query asks for
    hits: tuple[Hit, ...]


def init_app(app: Flask) -> None:
    """Add the functions to the template filters."""
    app.add_template_filter(shape)
    app.add_template_filter(nearness)
    app.add_template_filter(groups)
    app.jinja_env.globals.update(icon=icon, photo_suffixes=sorted(SUFFIXES), photo_short_side=SHORT_SIDE)


def icon(name: str) -> Markup:
    """Return a symbol of the file icons.svg, as HTML."""
    return _icon(address_of("static", filename="icons.svg"), name)


@lru_cache(ICONS_KEPT)
def _icon(file: str, name: str) -> Markup:
    return _ICON.format(file, name)


def shape(document: ImageDocument) -> str:
    """Return the CSS classes of a tile with the photo's proportions (grid.css): `t13 o6` is 1.36 times as wide as high.

    They are classes because the content security policy allows no style in the page.
    """
    ratio = min(max(document.width / max(document.height, 1), NARROWEST), WIDEST)
    tenths, hundredths = divmod(round(ratio * 100), 10)
    return f"t{tenths} o{hundredths}"


def nearness(hit: Hit, result: SearchResult, several: bool = False) -> int:
    """Return how near a hit is: 1 loosely similar, 2 similar, 3 very similar.

    If it is known whether a hit matches, a match is at least similar, and any other hit is loosely similar. This is the
    same on every page. With `several` parts in a query, cosines have another range than those of single texts or
    photos, so no hit is called very similar.
    """
    kind = "text" if result.text_encoder else "photo"
    bounds = (_CONSE if result.model_id == "conse" else _CLIP)[kind]
    level = 1 + sum((hit.similarity or 0) >= bound for bound in bounds)
    if hit.matches is not None:
        level = max(level, 2) if hit.matches else 1
    return min(level, 2) if several else level


def groups(result: SearchResult) -> Iterator[HitGroup]:
    """Yield the hits that match, then those that do not, as far as that is known. Yield no empty group."""
    relevant = result.relevant
    cut = len(result.hits) if relevant is None else relevant
    for group in (HitGroup(True, result.hits[:cut]), HitGroup(False, result.hits[cut:])):
        if group.hits:
            yield group
