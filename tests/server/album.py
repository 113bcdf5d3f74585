"""A folder of photos in two states. Indexing the second one uses every kind of request that a run ever sends."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from image_embeddings.documents import PhotoMetadata
from image_embeddings.es.queries import EMBEDDING
from image_embeddings.es.retries import patiently
from image_embeddings.indexing import pipeline, runs
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.report import IndexOptions, IndexReport
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from tests.fakes import ColourEncoder, RecordedProgress
from tests.pictures import save

OPTIONS = IndexOptions(batch_size=4, chunk_size=7)
SAID = {f"{number}.png": PhotoMetadata(label="old", extra={"shelf": "3"}) for number in range(20)}


@dataclass(frozen=True)
class Album:
    """Two folders: in `after`, photos of `before` are unchanged, changed, renamed or gone, and others are new."""

    before: Path
    after: Path


def make_album(folder: Path) -> Album:
    """Make the album below `folder`."""
    album = Album(folder / "before", folder / "after")
    for number in range(40):
        save(album.before / f"{number}.png", colour=(number, 200, 2 * number))
    shutil.copytree(album.before, album.after)
    for number in range(20, 40):
        old = album.after / f"{number}.png"
        if number < 26:
            save(old, colour=(200, number, 0), size=(80, 60))
        elif number < 32:
            old.rename(album.after / f"renamed-{number}.png")
        else:
            old.unlink()
    for number in range(60):
        save(album.after / "new" / f"{number}.png", colour=(3 * number, 0, 100))
    (album.after / "no-photo.jpg").write_bytes(b"x")
    return album


class Interrupted(RecordedProgress):
    """A progress bar with events: number of photos done -> function to call then."""

    def __init__(self, happenings: dict[int, Callable[[], object]]) -> None:
        super().__init__()
        self._happenings = dict(happenings)

    def update(self, n: float | None = 1, /) -> bool:
        super().update(n)
        for done in [done for done in self._happenings if done <= self.done]:
            self._happenings.pop(done)()
        return True


def run_over(folder, index, *, said=None, happenings=None) -> IndexReport:
    """Return the report of a run, without its duration."""
    report = pipeline.run(
        make_plan(FolderSource(folder), indexed=patiently(index.documents.file_states)),
        index=index,
        encoder=ColourEncoder(calls=2),
        thumbnails=Thumbnails(folder.parent / "thumbnails"),
        progress=Interrupted(happenings or {}),
        options=OPTIONS,
        metadata=MetadataChanges(rows=said or {}),
    )
    return replace(report, seconds=0.0)


def index_photos(settings, *, progress=RecordedProgress, **choices) -> IndexReport:
    """Return the report of a run by settings, with embeddings that are the same to the last bit in every run."""
    options = replace(OPTIONS, batch_size=1)
    return runs.index_photos(settings, options=options, progress=progress, **choices)


def contents(index):
    """Return image_id -> document and embedding, as bytes, read in a few requests."""
    index.refresh()
    image_ids = list(index.documents.file_states())
    documents = index.documents.get_many(image_ids)
    found = index.cluster.client.search(index=index.name, size=10_000, fields=[EMBEDDING], source=False)
    embeddings = {hit["_id"]: np.asarray(hit["fields"][EMBEDDING], np.float32) for hit in found["hits"]["hits"]}
    return {image_id: (documents[image_id], embeddings[image_id].tobytes()) for image_id in image_ids}
