from image_embeddings.documents import ImageDocument
from image_embeddings.es.nearest import Hit
from image_embeddings.near_duplicates.folding import fold_near_duplicates

STRIPES, NEARLY = "00ff00ff00ff00ff808080", "00ff00ff00ff00fe858080"
DOTS, NEARLY_DOTS = "f0f0f0f0f0f0f0f0808080", "f0f0f0f0f0f0f0f1808080"


def hit(name, fingerprint, *, score=0.8, width=40, content_hash=None):
    document = ImageDocument(
        image_id=name,
        width=width,
        height=30,
        bytes=1,
        mtime_ns=0,
        content_hash=content_hash or name,
        fingerprint=fingerprint,
    )
    return Hit(rank=1, score=score, document=document)


def names(hits):
    return {hit.image_id: [inner.image_id for inner in hit.folded] for hit in hits}


def test_near_duplicates_are_folded_under_the_first_and_the_order_stays():
    hits = [
        hit("a", STRIPES),
        hit("b", DOTS),
        hit("c", NEARLY, score=0.795),
        hit("d", NEARLY_DOTS),
    ]
    assert names(fold_near_duplicates(hits)) == {"a": ["c"], "b": ["d"]}


def test_photos_of_the_same_bytes_are_folded_even_without_fingerprints():
    assert names(fold_near_duplicates([hit("a", None, content_hash="x"), hit("b", None, content_hash="x")])) == {
        "a": ["b"]
    }


def test_photos_that_only_look_alike_are_not_folded():
    others = [
        hit("less similar", STRIPES, score=0.7),
        hit("of another shape", STRIPES, width=50),
        hit("unknown", None),
    ]
    assert all(not found for found in names(fold_near_duplicates([hit("a", STRIPES), *others])).values())
