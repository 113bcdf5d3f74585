"""Which source of photos an address names."""

from __future__ import annotations

from pathlib import Path

from image_embeddings.config import Settings
from image_embeddings.sources.folder_source import FolderSource
from image_embeddings.sources.source import PhotoSource


def source_of(address: Path, settings: Settings) -> PhotoSource:
    """Return the photos at `address`, without what the settings leave out. Nothing is read yet."""
    return FolderSource(address, leave_out=settings.data_dir, exclude=settings.exclude)
