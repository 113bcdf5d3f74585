"""Rebuilds of an index: a new one is filled beside the one that serves, and takes its place at the end."""

from __future__ import annotations

from dataclasses import replace

from image_embeddings.config import Settings
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import ModelMismatchError
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.opening import Notify, open_index, state_of
from image_embeddings.es.retries import patiently
from image_embeddings.indexing.locks import lock_index, lock_machine
from image_embeddings.indexing.plan import Plan
from image_embeddings.indexing.report import IndexReport
from image_embeddings.indexing.unfinished import GIVE_UP, advice_on_rebuild, noted_import, rebuild_advice


def check_same_rebuild(encoder: Encoder, state: IndexState, *, address: str) -> None:
    """Check that an unfinished rebuild in `state` was begun with this encoder. `address` names the photos.

    Raises:
        ModelMismatchError: it was begun with another one.
    """
    try:
        check_same_model(encoder, state.model)
    except ModelMismatchError as error:
        model = state.model.model_id
        by_index = f"To go on with it: IMAGE_MODEL={model} and index --rebuild. {GIVE_UP}"
        advice = advice_on_rebuild(state, address=address) if noted_import(state) else by_index
        raise ModelMismatchError(
            f"A rebuild with '{model}' was begun and is not finished. {advice} ({error})"
        ) from error


def finish_rebuild(
    serving: ImageIndex,
    state: IndexState,
    *,
    plan: Plan,
    report: IndexReport,
    prune: bool,
    replicas: int | None,
    notify: Notify,
) -> IndexReport:
    """Put the new index, in `state`, in place of the one that serves, unless that would lose photos.

    The new index gets that many `replicas`, as `ImageIndex.create` describes them. Return the report with the number
    of photos that went, or with the reason why the new index waits.
    """
    waiting = _why_waiting(plan, report, prune=prune)
    if waiting:
        return replace(report, waiting=waiting)
    patiently(serving.finish_rebuild, state.backing_index, replicas=replicas, notify=notify)
    return replace(report, deleted=plan.count_dropped(report.skipped))


def _why_waiting(plan: Plan, report: IndexReport, *, prune: bool) -> str:
    """Return why the new index is not to take the other one's place; empty if it is to do so."""
    advice = rebuild_advice(plan.source.address)
    if report.stopped:
        return f"The old index still serves. {advice}"
    if not report.indexed:
        return f"No photo could be indexed, so the old index still serves. {advice}"
    missing = [] if prune else plan.find_missing(report.skipped)
    if missing:
        return (
            f"The old index still serves: it holds {len(missing):,} photos that could not be read or written now, such "
            f"as '{missing[0]}'. {advice} If they are to go, add --prune."
        )
    return ""


def discard_rebuild(settings: Settings) -> bool:
    """Remove the index that was filled to take the place of another; return whether there was one."""
    with lock_machine(settings):
        serving = open_index(settings)
        with lock_index(settings, serving):
            was_there = state_of(serving.rebuild) is not None
            serving.rebuild.drop()
        return was_there
