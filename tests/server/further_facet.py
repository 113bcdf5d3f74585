"""A program that adds a row to the keyword facets, fills an index, and prints the effects of the row as JSON."""

import json
import sys

import numpy as np

from image_embeddings.config import load_settings
from image_embeddings.documents import ImageDocument, ModelInfo
from image_embeddings.es.connection import connect
from image_embeddings.es.facets import KEYWORD_FACETS, KeywordFacet
from image_embeddings.es.image_index import ImageIndex

NAME = "further_facet"  # of the filter and of the field
MODEL = ModelInfo(model_id="colour", dims=4, preprocessing="colour-1")


def photo(number: int, maker: str) -> tuple[ImageDocument, np.ndarray]:
    document = ImageDocument(
        image_id=f"{number}.jpg",
        width=3,
        height=2,
        bytes=1,
        mtime_ns=1,
        content_hash=f"{number:032}",
        camera_make=maker,
    )
    return document, np.eye(4, dtype=np.float32)[number % 4]


def main(url: str, name: str) -> None:
    assert NAME not in KEYWORD_FACETS
    KEYWORD_FACETS[NAME] = KeywordFacet(
        name=NAME,
        field=NAME,
        values_of=lambda document: document.camera_make,
        label="Maker of the camera",
        help="Only photos by a camera of this maker.",
    )
    from app import create_app

    index = ImageIndex(connect([url]), name=name)
    index.create(model=MODEL, vector_index_type="int8_hnsw")
    refused = list(index.documents.add([photo(1, "Leica"), photo(2, "Leica"), photo(3, "Canon")]))
    index.refresh()
    web = create_app(load_settings({"ES_HOST": url, "INDEX_NAME": name})).test_client()
    answer = web.get("/api/v1/search?further_facet=Leica&facets=true").json
    description = web.get("/api/openapi.json").json
    parameters = description["paths"]["/api/v1/search"]["get"]["parameters"]
    print(
        json.dumps(
            {
                "refused": len(refused),
                "mapping": index.cluster.client.indices.get_mapping(index=name).body,
                "hits": sorted(hit["image_id"] for hit in answer["hits"]),
                "counts": answer["facets"][NAME],
                "page": web.get("/image_search?further_facet=Leica").text,
                "parameter": next((found for found in parameters if found["name"] == NAME), None),
                "facet": description["components"]["schemas"]["FacetsSchema"]["properties"].get(NAME),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
