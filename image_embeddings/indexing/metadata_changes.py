"""The rows of a metadata file, and which of them are still to be written."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace

from image_embeddings.documents import ImageDocument, PhotoMetadata
from image_embeddings.indexing.report import IndexReport


@dataclass(frozen=True, kw_only=True)
class MetadataChanges:
    """The rows of a metadata file, and the rows that an earlier run has written into the same index."""

    rows: Mapping[str, PhotoMetadata] = field(default_factory=dict)  # image_id -> row of the file
    written: Mapping[str, PhotoMetadata] = field(default_factory=dict)
    backing_index: str = ""  # the index that holds `written`

    def next_run(self, rows: Mapping[str, PhotoMetadata], *, backing_index: str) -> MetadataChanges:
        """Return the changes for a run that writes `rows` into an index; rows in another index do not count."""
        written = self.written if backing_index == self.backing_index else {}
        return MetadataChanges(rows=rows, written=written, backing_index=backing_index)

    def merge_into(self, document: ImageDocument) -> ImageDocument:
        """Return the document of a photo with what the file says of it."""
        row = self.rows.get(document.image_id)
        return row.merged_into(document) if row else document

    def select(self, image_ids: Container[str]) -> dict[str, PhotoMetadata]:
        """Return the rows of these indexed photos that the index does not hold yet, sorted by image_id."""
        rows = sorted(self.rows.items())
        return {key: row for key, row in rows if key in image_ids and row != self.written.get(key)}

    def after(self, report: IndexReport) -> MetadataChanges:
        """Return the changes after the run of that report; if the run was stopped, no row counts as written."""
        skipped = {skipped.image_id for skipped in report.skipped}
        written = {} if report.stopped else {key: row for key, row in self.rows.items() if key not in skipped}
        return replace(self, rows={}, written=written)
