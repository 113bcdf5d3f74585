"""The display of photos and hits, as far as it needs no browser."""

import pytest

from app.pages.tiles import groups, nearness, shape
from image_embeddings import Hit, ImageDocument, SearchResult


def document(**given):
    values = {"image_id": "a.jpg", "width": 3, "height": 2, "bytes": 1, "mtime_ns": 1, "content_hash": "0" * 64}
    return ImageDocument(**values | given)


def result(*similarities, relevant=None, model_id="conse", text_encoder="local"):
    hits = [
        Hit(
            rank=rank,
            score=(1 + similarity) / 2,
            document=document(),
            matches=None if relevant is None else rank <= relevant,
        )
        for rank, similarity in enumerate(similarities, start=1)
    ]
    return SearchResult(hits=tuple(hits), total=9, matching=9, model_id=model_id, text_encoder=text_encoder)


@pytest.mark.parametrize(
    ("size", "classes"),
    [((3, 2), "t15 o0"), ((4000, 2945), "t13 o6"), ((2, 3), "t6 o7"), ((9000, 100), "t30 o0"), ((1, 50), "t5 o6")],
)
def test_a_tile_has_the_proportions_of_its_photo_within_bounds(size, classes):
    assert shape(document(width=size[0], height=size[1])) == classes


@pytest.mark.parametrize(
    ("similarity", "model_id", "text_encoder", "level"),
    [
        (0.48, "conse", "local", 3),  # husky.jpg for "a dog"
        (0.20, "conse", "local", 1),  # the best for "quantum physics"
        (0.48, "conse", None, 2),
        (0.30, "clip-ViT-B-32", "elasticsearch", 3),
        (0.30, "clip-ViT-B-32", None, 1),
    ],
)
def test_the_words_for_a_similarity_depend_on_model_and_kind_of_query(similarity, model_id, text_encoder, level):
    found = result(similarity, model_id=model_id, text_encoder=text_encoder)
    assert nearness(found.hits[0], found) == level


def test_only_hits_that_do_not_match_are_called_loose():
    found = result(0.1, 0.9, relevant=1)
    assert nearness(found.hits[0], found) == 2
    assert nearness(found.hits[1], found) == 1


def test_nothing_is_very_similar_to_several_parts_together():
    found = result(0.48, 0.2)
    assert [nearness(hit, found, several=True) for hit in found.hits] == [2, 1]


@pytest.mark.parametrize(
    ("relevant", "sizes"), [(None, [(True, 3)]), (3, [(True, 3)]), (2, [(True, 2), (False, 1)]), (0, [(False, 3)])]
)
def test_hits_that_match_stand_apart_from_the_others(relevant, sizes):
    found = result(0.5, 0.4, 0.3, relevant=relevant)
    assert [(group.matches, len(group.hits)) for group in groups(found)] == sizes
    assert sum((group.hits for group in groups(found)), ()) == found.hits


def test_a_search_without_a_verdict_has_one_group():
    plain = SearchResult(hits=result(0.5).hits, total=1, matching=1, model_id="conse")
    assert [group.matches for group in groups(plain)] == [True]
