from image_embeddings.config import ROOT
from tests.conftest import LONGEST, scope_of


def test_the_files_that_begin_first_exist():
    assert [name for name in LONGEST if not (ROOT / name).exists()] == []


def test_the_longest_files_begin_first(request):
    scopes = dict.fromkeys(scope_of(item.nodeid) for item in request.session.items)
    places = [LONGEST.index(scope) if scope in LONGEST else len(LONGEST) for scope in scopes]
    assert places == sorted(places)
