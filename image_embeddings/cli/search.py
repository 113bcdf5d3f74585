"""The command `search`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from image_embeddings import assembly
from image_embeddings.cli.terminal import json_option, k_option, print_json, say, show_errors
from image_embeddings.config import Settings, load_settings
from image_embeddings.errors import QueryError
from image_embeddings.es.document_source import left_out_message
from image_embeddings.es.filters import Filters
from image_embeddings.log_format import printable
from image_embeddings.photos import decoding
from image_embeddings.search.result import SearchResult
from image_embeddings.text_model.choice import ELASTICSEARCH


@click.command()
@click.argument("text", required=False)
@click.option("--image", type=click.Path(path_type=Path), help="Search by this image file.")
@click.option("--like", "image_id", help="Search by a photo of the index, by its image_id.")
@k_option
@click.option("--offset", default=0, show_default=True, help="Photos to pass over.")
@click.option("--folder", help="Only photos of this folder of the corpus.")
@json_option
def search(
    text: str | None, image: Path | None, image_id: str | None, k: int, offset: int, folder: str | None, as_json: bool
) -> None:
    """Find photos by TEXT in any language, or by an image."""
    if sum(query is not None for query in (text, image, image_id)) != 1:
        raise click.UsageError("Give one query: TEXT, or --image FILE, or --like IMAGE_ID.")
    with show_errors():
        settings = load_settings()
        filters = Filters(values={"folder": (folder,)} if folder else {})
        image_search = assembly.open_search(settings, notify=say)
        if text is not None:
            result = image_search.by_text(text, k=k, offset=offset, filters=filters, partial=True)
        elif image is not None:
            picture = _read_image(image, settings)
            result = image_search.by_image(picture, k=k, offset=offset, filters=filters, partial=True)
        else:
            result = image_search.like(str(image_id), k=k, offset=offset, filters=filters, partial=True)
        if as_json:
            print_json(_result_json(result))
        else:
            _print_result(result)


def _read_image(path: Path, settings: Settings) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise QueryError(f"{path} cannot be opened ({error.strerror}).") from error
    return decoding.decode(data, max_pixels=settings.max_image_pixels, what=str(path)).image


def _result_json(result: SearchResult) -> dict[str, Any]:
    hits = [
        {
            "image_id": hit.image_id,
            "rank": hit.rank,
            "similarity": round(hit.similarity or 0, 4),
            "score": round(hit.score or 0, 4),
            "by_words": hit.by_words,
        }
        for hit in result.hits
    ]
    return {
        "hits": hits,
        "total": result.total,
        "model_id": result.model_id,
        "text_encoder": result.text_encoder,
        "text_model_id": result.text_model_id,
        "understood": result.understood,
        "note": result.note,
        **({"left_out": len(result.left_out)} if result.left_out else {}),
        "partial": result.partial,
        "took_ms": result.took_ms,
    }


def _print_result(result: SearchResult) -> None:
    for hit in result.hits:
        words = "  (has words of the text)" if hit.by_words else ""
        click.echo(f"{hit.rank:4}  {hit.similarity:6.3f}  {printable(hit.image_id)}{words}")
    in_elasticsearch = " (text encoded in Elasticsearch)" if result.text_encoder == ELASTICSEARCH else ""
    say(f"{len(result.hits)} of {result.total} photos, by {result.model_id}{in_elasticsearch}")
    if not result.understood and not any(hit.by_words for hit in result.hits):
        say("The text says nothing that the model knows. These photos need not match it.")
    if result.partial:
        say("Note: some photos could not be searched at the moment.")
    if result.note:
        say(f"Note: {result.note}")
    if result.left_out:
        say(left_out_message(result.left_out))
