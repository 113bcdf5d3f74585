"""The command `status`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from image_embeddings import assembly
from image_embeddings.cli.terminal import json_option, print_json, say, show_errors
from image_embeddings.config import Settings, load_settings
from image_embeddings.documents import JSON
from image_embeddings.errors import ElasticsearchError, IndexMissingError
from image_embeddings.es import opening
from image_embeddings.es.copies import read_health
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.indexing.unfinished import advice_on_rebuild, advice_on_run


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show what is indexed, where, and with which model."""
    with show_errors():
        rows = read_status(load_settings())
        health = rows.get("health")
        if as_json:
            print_json({**rows, "health": asdict(health)} if health else rows)
            return
        if rows.get("photos", 0) is None:
            rows["photos"] = "some cannot be read"
        if text_encoder := rows.pop("text_encoder", None):
            rows["text_encoder"] = f"{text_encoder['used'] or 'none'}: {text_encoder['why']}"
        width = max(map(len, rows))
        for name, value in rows.items():
            click.echo(f"{name:>{width}}  {value}")


def read_status(settings: Settings) -> dict[str, Any]:
    """Return the settings and the state of the index, under the names that the command shows.

    Raises:
        ImageSearchError: Elasticsearch cannot be asked, or the index is not ours.
    """
    search = assembly.open_search(settings, notify=say)
    index = search.index
    rows: dict[str, Any] = {
        "elasticsearch": ".".join(map(str, index.cluster.server_version())),
        "embedded_node": opening.uses_embedded_node(settings),
        "address": index.cluster.address,
        "index": settings.index_name,
        "image_dir": str(settings.image_dir),
    }
    try:
        state = index.state()
    except IndexMissingError as error:
        return {**rows, "photos": 0, "note": str(error)}
    rows["health"] = health = read_health(index.cluster, state.backing_index)
    if state.corpus:
        rows["indexed_folder"] = state.corpus
    rows |= {
        "model": state.model.model_id,
        "dims": state.model.dims,
        "vector_index_type": state.vector_index_type,
        "photos": index.count() if health.is_whole else None,
    }
    rows["text_encoder"] = search.text_encoder()
    if rebuild := _rebuild_text(index):
        rows["rebuild"] = rebuild
    if state.indexing:
        rows["indexing"] = f"{_progress_text(state.indexing)}. {advice_on_run(state)}"
    return rows


def _rebuild_text(index: ImageIndex) -> str:
    """Return the progress of an unfinished rebuild and what to do about it; empty if there is none."""
    try:
        state = index.rebuild.state()
    except IndexMissingError:
        return ""
    return (
        f"{_progress_of(index.rebuild, state)}, by {state.model.model_id}. {advice_on_rebuild(state, address='FOLDER')}"
    )


def _progress_of(index: ImageIndex, state: IndexState) -> str:
    """Return how many photos an index holds that waits to take the place of another one, or how far its run is."""
    if state.indexing:
        return _progress_text(state.indexing)
    try:
        return f"{index.count()} photos"
    except ElasticsearchError as error:
        return f"cannot be read just now ({error})"


def _progress_text(indexing: JSON) -> str:
    """Return the progress of the run that fills the index, from its note in the index."""
    age = int(time.time()) - int(indexing["updated"])
    when = f"stopped {age} s ago" if indexing.get("stopped") else f"{age} s ago"
    return f"{indexing['done']} of {indexing['total']} photos, {when}"
