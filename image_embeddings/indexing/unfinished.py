"""Runs and imports that did not end: how to go on with them, by what they noted in the index."""

from __future__ import annotations

import shlex

from image_embeddings.documents import JSON
from image_embeddings.es.image_index import IndexState

GIVE_UP = "To give it up: index --discard-rebuild."


def rebuild_advice(address: str) -> str:
    """Return what to do about an unfinished rebuild of the photos at `address`."""
    return f"To go on with it: {_index_command(address)} --rebuild. {GIVE_UP}"


def advice_on_rebuild(state: IndexState, *, address: str) -> str:
    """Return what to do about an unfinished rebuild in `state`; `address` names the photos if `state` does not."""
    command = _import_command(state) if noted_import(state) else _index_command(state.corpus or address)
    return f"{_go_on(state, 'rebuild')}: {command} --rebuild. {GIVE_UP}"


def advice_on_run(state: IndexState) -> str:
    """Return how to go on with the run or the import that fills the index in `state`."""
    if noted_import(state):
        return f"{_go_on(state, 'import')}: {_import_command(state)}."
    return f"{_go_on(state, 'run')}: {_index_command(state.corpus) if state.corpus else 'index FOLDER'}."


def _go_on(state: IndexState, what: str) -> str:
    """Return the words before the command. A run that has noted no end may have been killed, or be under way."""
    if state.indexing and not state.indexing.get("stopped"):
        return f"If this {what} is not under way any more, go on with it"
    return "To go on with it"


def noted_import(state: IndexState) -> JSON:
    """Return what an import noted in an index that it did not end; empty if nothing is noted."""
    noted = (state.indexing or {}).get("import")
    return noted if isinstance(noted, dict) else {}


def _index_command(address: str) -> str:
    return f"index {shlex.quote(address)}"


def _import_command(state: IndexState) -> str:
    folder = noted_import(state).get("folder")
    return f"import {shlex.quote(folder) if isinstance(folder, str) else 'FOLDER'}"
