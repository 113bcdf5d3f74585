"""What is passed over while photos are listed, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class PassedOver:
    """What a list of photos passes over, counted. Files and folders whose names begin with a dot are not counted."""

    other_files: Counter[str] = field(default_factory=Counter)  # by suffix, in lower case; empty for none
    linked_folders: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # files and folders by the reason of `left_out.Rules`
