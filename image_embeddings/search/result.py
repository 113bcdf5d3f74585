"""The result of a search."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from image_embeddings.es.nearest import RawResult


@dataclass(frozen=True, kw_only=True)
class SearchResult(RawResult):
    """The hits of one search, best first, and how they were found."""

    model_id: str
    text_encoder: str | None = None  # who encoded the text: elasticsearch or local; None without a text
    text_model_id: str | None = None  # id of the text model in Elasticsearch, if it encoded the text
    understood: bool = True  # whether every text says something that the model knows
    note: str | None = None  # for the user: what did not work, and what was done instead
    took_ms: Mapping[str, float] = field(default_factory=dict)  # stage -> milliseconds: encode, search, total
    listed: int | None = None  # number of all hits if it is not `matching`: a search by date lists only the nearest
