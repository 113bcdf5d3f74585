"""The JSON that Google Photos exports beside each photo ("Takeout"): date, place, caption and persons."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from image_embeddings.photos.captions import (
    CAPTION_LENGTH,
    MAX_PERSONS,
    NAME_LENGTH,
    Words,
    distinct_texts,
    first_text,
)
from image_embeddings.photos.dates import parse_timestamp
from image_embeddings.photos.facts import Facts
from image_embeddings.photos.places import Place, checked_place
from image_embeddings.photos.taken import SIDECAR

MAX_BYTES = 2**20  # an export has one to ten thousand bytes
_SECONDS = re.compile(r"-?\d{1,11}")
_MAX_PEOPLE = 1_000  # that are looked at


def read(data: bytes) -> tuple[Facts, str]:
    """Return what the file says, and what is wrong with it, empty for nothing. JSON of another kind says nothing."""
    if len(data) > MAX_BYTES:
        return Facts(), f"it has more than {MAX_BYTES:,} bytes"
    try:
        # NaN and infinity are no JSON, but Python would read them as numbers.
        written = json.loads(data.decode("utf-8-sig"), parse_constant=lambda name: None)
    except UnicodeDecodeError:
        return Facts(), "it is damaged: it is not UTF-8"
    except RecursionError:
        return Facts(), "it is damaged: it is nested too deeply"
    except ValueError as error:
        return Facts(), f"it is damaged: {error}"
    return _facts(written if isinstance(written, dict) else {}), ""


def _facts(written: dict[str, Any]) -> Facts:
    moment = _moment(_object(written, "photoTakenTime").get("timestamp"))
    caption = first_text(CAPTION_LENGTH, [_text(written.get("description"))])
    return Facts(
        taken=moment,
        taken_by=SIDECAR if moment else None,
        has_zone=moment is None,
        place=_place(_object(written, "geoData")) or _place(_object(written, "geoDataExif")),
        words=Words(
            caption=caption,
            description=caption,
            persons=distinct_texts(_names(written.get("people")), length=NAME_LENGTH, most=MAX_PERSONS),
        ),
    )


def _object(written: dict[str, Any], name: str) -> dict[str, Any]:
    found = written.get(name)
    return found if isinstance(found, dict) else {}


def _names(people: Any) -> list[str]:
    found = people[:_MAX_PEOPLE] if isinstance(people, list) else []
    return [_text(person.get("name")) for person in found if isinstance(person, dict)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _moment(timestamp: Any) -> str | None:
    """Return a moment in UTC. The very beginning of 1970 stands for an unknown one."""
    text = str(timestamp) if type(timestamp) in (int, str) else ""
    return parse_timestamp(int(text)) if _SECONDS.fullmatch(text) and int(text) else None


def _place(written: dict[str, Any]) -> Place | None:
    """Return a place. A height of 0 stands for an unknown one, as 0°, 0° stand for an unknown place."""
    latitude, longitude, altitude = (_number(written.get(name)) for name in ("latitude", "longitude", "altitude"))
    return checked_place(latitude, longitude, altitude=altitude or None)


def _number(value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
