"""What the files beside a photo say of it: XMP that image programs write, and the JSON of Google's exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from image_embeddings.photos import takeout, xmp
from image_embeddings.photos.facts import Facts, read_facts
from image_embeddings.photos.taken import SIDECAR

XMP_SUFFIX, JSON_SUFFIX = ".xmp", ".json"
MAX_BYTES = max(xmp.MAX_BYTES, takeout.MAX_BYTES)
REMEDY = "let the program that made it write it again, or remove it"


@dataclass(frozen=True, kw_only=True)
class SidecarBytes:
    """The content of a file beside a photo. `file` is its path below the folder of the photos."""

    file: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class SidecarFault:
    """What is wrong with a file beside a photo, and the remedy."""

    file: str
    reason: str


def read_sidecars(sidecars: Sequence[SidecarBytes]) -> tuple[Facts, list[SidecarFault]]:
    """Return what the sidecars of a photo say together, the first one before the others, and what is wrong with them.

    A damaged sidecar says what stands before its damage, and a hostile one nothing.
    """
    facts, faults = Facts(), []
    for sidecar in reversed(sidecars):
        said, fault = _read(sidecar)
        facts = said.over(facts)
        if fault:
            faults.append(SidecarFault(file=sidecar.file, reason=f"{fault}: {REMEDY}"))
    return facts, faults[::-1]


def _read(sidecar: SidecarBytes) -> tuple[Facts, str]:
    if sidecar.file.lower().endswith(JSON_SUFFIX):
        return takeout.read(sidecar.data)
    packet, fault = xmp.read_with_fault(sidecar.data)
    facts = read_facts(xmp=packet)
    return replace(facts, taken_by=SIDECAR if facts.taken else None), fault
