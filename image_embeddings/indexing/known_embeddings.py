"""Embeddings that another program has made: which photo each belongs to, and whether they are of the same model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from image_embeddings.documents import Embedding, ImageDocument, PhotoMetadata
from image_embeddings.embedding_files.clip_retrieval_rows import Rows, open_rows
from image_embeddings.embedding_files.path_matching import match_paths
from image_embeddings.encoders import Encoder
from image_embeddings.errors import EmbeddingFilesError, ModelMismatchError
from image_embeddings.es.opening import Notify
from image_embeddings.file_stores.store import FileStore
from image_embeddings.indexing.part import PhotoReader
from image_embeddings.indexing.plan import Plan
from image_embeddings.indexing.records import PhotoToEncode
from image_embeddings.sources.source import PhotoFile

PROBES = 12  # photos that are encoded and compared
# With conse, over 40 photos: float16 costs 0.0000002, and to decode a photo whole instead of scaling it meanwhile costs
# 0.001 at most. The nearest other photo had 0.58 in the median, and 0.87 at most.
SAME_COSINE = 0.98
FEWEST_SAME = 0.75  # share of the probes: a photo that another program did not turn upright had 0.82 in the median
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class KnownEmbeddings:
    """The rows of files in clip-retrieval's layout, and the photo that each is of."""

    rows: Rows
    row_of: Mapping[str, int]  # image_id -> row

    def embedding_of(self, document: ImageDocument) -> Embedding | None:
        """Return the embedding of a photo; None if there is none, or if the photo has changed since."""
        row = self.row_of.get(document.image_id)
        if row is None or self.rows.content_hashes[row] not in ("", document.content_hash):
            return None
        return self.rows.embedding(row)

    def words(self, image_ids: Iterable[str]) -> dict[str, PhotoMetadata]:
        """Return what the tables say of these photos."""
        said = {image_id: self.rows.words[self.row_of[image_id]] for image_id in image_ids if image_id in self.row_of}
        return {image_id: words for image_id, words in said.items() if words}


@contextmanager
def open_known_embeddings(store: FileStore, plan: Plan, *, dims: int, notify: Notify) -> Iterator[KnownEmbeddings]:
    """Give the block the embeddings in `store` of the photos of a plan. `notify` gets what has no counterpart.

    Raises:
        EmbeddingFilesError: the files cannot be used, or no photo is found, or one has two embeddings.
        ModelMismatchError: the embeddings do not have `dims` numbers.
    """
    with open_rows(store) as rows:
        if rows.dims != dims:
            raise ModelMismatchError(
                f"The embeddings in {rows.where} have {rows.dims} numbers, and those of the model have {dims}. Set "
                "IMAGE_MODEL to the model that made them."
            )
        found = match_paths(rows.paths, set(plan.image_ids()), address=plan.source.address, table=rows.where)
        known = KnownEmbeddings(
            rows=rows, row_of={key: _only_row(rows, key, numbers) for key, numbers in found.items()}
        )
        for line in _remarks(known, plan, matched=sum(map(len, found.values()))):
            notify(line)
        yield known


def _only_row(rows: Rows, image_id: str, numbers: list[int]) -> int:
    first, *others = numbers
    for other in others:
        if not np.array_equal(rows.numbers(first), rows.numbers(other)):
            raise EmbeddingFilesError(
                f"{rows.where} has two embeddings of '{image_id}' that differ: row {first} ({rows.paths[first]}) and "
                f"row {other} ({rows.paths[other]}). Remove the one that is wrong."
            )
    return first


def _remarks(known: KnownEmbeddings, plan: Plan, *, matched: int) -> Iterator[str]:
    rows = known.rows
    if matched < len(rows.paths):
        of_photos = {rows.paths[row] for row in known.row_of.values()}
        others = sorted(set(rows.paths) - of_photos)
        count, address = len(rows.paths) - matched, plan.source.address
        yield f"{count:,} rows of {rows.where} are of no photo in {address}: {_some(others)}"
    without = [file.image_id for file in plan.to_encode if file.image_id not in known.row_of]
    if without:
        yield f"{len(without):,} photos have no row in {rows.where} and are encoded: {_some(without)}"


def _some(names: list[str]) -> str:
    more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more


def check_model(known: KnownEmbeddings, plan: Plan, *, reader: PhotoReader, encoder: Encoder, notify: Notify) -> None:
    """Encode some of the photos that have a row, and return if the embeddings agree. `notify` gets those that do not.

    Raises:
        ModelMismatchError: too few of them agree.
    """
    photos = _draw(known, plan, reader)
    if not photos:
        return
    mine = encoder.encode_preprocessed([photo.pixels for photo, _ in photos])
    cosines = [float(own @ theirs) for own, (_, theirs) in zip(mine, photos, strict=True)]
    named = sorted(zip(cosines, [photo.document.image_id for photo, _ in photos], strict=True))
    unlike = [f"'{image_id}' {cosine:.2f}" for cosine, image_id in named if cosine < SAME_COSINE]
    if len(unlike) > (1 - FEWEST_SAME) * len(photos):
        raise ModelMismatchError(
            f"The embeddings in {known.rows.where} are not those of '{encoder.model_id}', or their rows are of other "
            f"photos: of {len(photos)} photos that were encoded to compare them, {len(unlike)} differ (cosine below "
            f"{SAME_COSINE}: {', '.join(unlike[:_SHOWN])}). Set IMAGE_MODEL to the model that made them."
        )
    if unlike:
        notify(
            f"Of {len(photos)} photos that were encoded to compare the embeddings, {len(unlike)} differ (cosine below "
            f"{SAME_COSINE}: {', '.join(unlike)}). The other program may have seen them otherwise, not upright for one."
        )


def _draw(known: KnownEmbeddings, plan: Plan, reader: PhotoReader) -> list[tuple[PhotoToEncode, Embedding]]:
    """Return up to PROBES photos from all over the plan that can be read, with the embeddings of their rows."""
    files = [file for file in plan.to_encode if file.image_id in known.row_of and file.image_id not in plan.changed]
    found: list[tuple[PhotoToEncode, Embedding]] = []
    for file in _spread(files):
        photo = reader.read(file)
        if isinstance(photo, PhotoToEncode) and (embedding := known.embedding_of(photo.document)) is not None:
            found.append((photo, embedding))
        if len(found) == PROBES:
            break
    return found


def _spread(files: list[PhotoFile]) -> Iterator[PhotoFile]:
    """Yield all files, first some from all over the list."""
    step = max(1, len(files) // PROBES)
    for begin in range(step):
        yield from files[begin::step]
