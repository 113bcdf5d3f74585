"""What all files of one export have in common: the model, the formats, the folder of the photos. No I/O."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from image_embeddings.documents import FORMAT, ModelInfo, is_model_name

VERSION = 1  # of the layout of the files


def _new_id() -> str:
    return uuid.uuid4().hex


def program_version() -> str:
    """Return the version of this program, or "clone" if it is not installed as a package."""
    try:
        return metadata.version("image-search")
    except metadata.PackageNotFoundError:
        return "clone"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the embeddings of an export come from. Each of its files says it."""

    model: ModelInfo
    corpus: str | None = None  # the folder of the photos
    oldest_format: int = FORMAT  # no document has an older format than this
    format: int = FORMAT  # FORMAT of the version that wrote the files
    program: str = field(default_factory=program_version)
    export_id: str = field(default_factory=_new_id)  # another one for each export

    def to_json(self) -> str:
        """Return the text that the files keep."""
        return json.dumps({"version": VERSION, **asdict(self)}, ensure_ascii=False)

    @staticmethod
    def from_json(text: str | bytes) -> Origin:
        """Return the origin in the result of `to_json`.

        Raise ValueError, with a reason, if it is not of this program, or of a version that this one cannot read.
        """
        try:
            body = json.loads(text)
            origin = _origin_of(body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError("it was not written by this program") from error
        if body["version"] > VERSION or origin.format > FORMAT:
            raise ValueError(
                f"a newer version of this program ({origin.program}) wrote it, and it holds what this version does not "
                "know. Install that version or a later one"
            )
        return origin


def _origin_of(body: Mapping[str, Any]) -> Origin:
    model = ModelInfo(
        **{
            name: body["model"][name]
            for name in ModelInfo.__dataclass_fields__
            if name in body["model"] and name != "probe"
        },
        probe=tuple(map(float, body["model"]["probe"])),
    )
    if not is_model_name(model.model_id) or not isinstance(model.dims, int) or not isinstance(body["version"], int):
        raise ValueError(model)
    values = {name: body[name] for name in ("corpus", "oldest_format", "format", "program", "export_id")}
    if not isinstance(values["format"], int) or not isinstance(values["oldest_format"], int):
        raise ValueError(values)
    return Origin(model=model, **values)
