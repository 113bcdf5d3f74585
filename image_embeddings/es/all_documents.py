"""All documents of an index with their embeddings, as they are at one moment, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from image_embeddings.documents import JSON, Embedding, ImageDocument
from image_embeddings.errors import ElasticsearchError, IndexMissingError, RequestError
from image_embeddings.es import queries
from image_embeddings.es.document_source import read_hits
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.index_client import IndexClient
from image_embeddings.es.retries import patiently

# Numbers of the embeddings of a page, which Elasticsearch holds in its heap. 384 MB were too little for three times as
# many.
PAGE_NUMBERS = 150_000
PAGE_DOCUMENTS = 1_000  # at most
KEPT_OPEN = "5m"  # so long may the work between two pages take


@dataclass(frozen=True, kw_only=True)
class DocumentPage:
    """Some documents of an index, with their embeddings."""

    total: int  # documents of the whole index
    rows: list[tuple[ImageDocument, Embedding]]
    left_out: tuple[str, ...]  # `_id`s of documents that this program did not write


def read_all(index: ImageIndex, *, dims: int) -> Iterator[DocumentPage]:
    """Yield every document as it is now, whatever is written meanwhile.

    Raise an ElasticsearchError if a part of the index cannot be read, IndexMissingError, or SnapshotLostError if a node
    went away that a page is needed from. A page is asked for again while Elasticsearch is away or overloaded.
    """
    client = IndexClient(index.cluster, name=index.name)
    # The documents are those of the refresh before.
    patiently(client.refresh)
    embedding_field = patiently(client.embedding_field)
    pit = patiently(_open, client)
    body: JSON = {
        "size": min(PAGE_DOCUMENTS, max(1, PAGE_NUMBERS // dims)),
        "pit": {"id": pit, "keep_alive": KEPT_OPEN},
        "sort": ["_shard_doc"],
        **embedding_field,
        "_source": {"excludes": [queries.EMBEDDING]},
        "track_total_hits": True,
    }
    number = 0
    try:
        while True:
            answer = patiently(_search, client, body)
            total, hits = answer["hits"]["total"]["value"], answer["hits"]["hits"]
            number += len(hits)
            if not hits:
                break
            yield _page(hits, total=total)
            body |= {"search_after": hits[-1]["sort"], "pit": {"id": answer["pit_id"], "keep_alive": KEPT_OPEN}}
    finally:
        _close(client, body["pit"]["id"])
    if number != total:
        raise RequestError(f"Elasticsearch gave {number:,} of {total:,} documents of '{index.name}'. Try again.")


def _page(hits: list[Mapping[str, Any]], *, total: int) -> DocumentPage:
    embeddings = {hit["_id"]: queries.embedding_of(hit) for hit in hits}
    documents, foreign = read_hits(hits)
    bare = tuple(image_id for image_id in documents if embeddings[image_id] is None)
    rows = [
        (document, embedding)
        for image_id, document in documents.items()
        if (embedding := embeddings[image_id]) is not None
    ]
    return DocumentPage(total=total, rows=rows, left_out=(*foreign, *bare))


def _open(client: IndexClient) -> str:
    with client.errors():
        answer = client.writer.open_point_in_time(
            index=client.name, keep_alive=KEPT_OPEN, allow_partial_search_results=False
        )
    return str(answer["id"])


def _search(client: IndexClient, body: JSON) -> Mapping[str, Any]:
    """Return the answer to a search at a point in time. Raise RequestError if a shard has not taken part."""
    with client.errors():
        answer = client.writer.search(body=body, allow_partial_search_results=False)
    result: Mapping[str, Any] = answer.body
    check_whole(result)
    return result


def check_whole(answer: Mapping[str, Any]) -> None:
    """Return if all shards have answered a search. Else raise RequestError, with a status of those that may pass."""
    if answer["timed_out"] or answer["_shards"]["failed"]:
        raise RequestError(
            f"Elasticsearch could read only a part of the index ({answer['_shards']['failed']} of "
            f"{answer['_shards']['total']} shards failed). Wait until the cluster is green, and try again.",
            status=503,
        )


def _close(client: IndexClient, pit: str) -> None:
    """Let Elasticsearch forget a point in time. It does so by itself after KEPT_OPEN, so no failure matters."""
    with suppress(ElasticsearchError, IndexMissingError), client.errors():
        client.writer.close_point_in_time(id=pit)
