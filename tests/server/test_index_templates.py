"""Index templates of somebody else that would make another index of ours: refused when it is made, with a remedy."""

import pytest

from image_embeddings.errors import IndexMissingError, IndexTemplateError, RequestError
from image_embeddings.es import mapping
from image_embeddings.es.image_index import ImageIndex
from tests.fakes import ColourEncoder
from tests.server.filling import fill
from tests.server.remedies import follow_remedy
from tests.server.web_client import make_app

pytestmark = pytest.mark.server

MODEL = ColourEncoder().info
FOREIGN = {
    "the setting index.default_pipeline": {"settings": {"default_pipeline": "p"}},
    "the setting index.final_pipeline": {"settings": {"final_pipeline": "p"}},
    "the setting index.analysis": {
        "settings": {"analysis": {"analyzer": {"default": {"type": "standard", "stopwords": ["of"]}}}}
    },
    "the setting index.similarity": {"settings": {"similarity": {"default": {"type": "boolean"}}}},
    "the setting index.sort": {"settings": {"sort.field": "image_id"}},
    "the setting index.max_result_window": {"settings": {"max_result_window": 100}},
    "the setting index.refresh_interval": {"settings": {"refresh_interval": "-1"}},
    "the setting index.mapping": {"settings": {"mapping.total_fields.limit": 2000}},
    "the setting index.blocks": {"settings": {"blocks.read_only": True}},
    "the mapping's _source": {"mappings": {"_source": {"enabled": False}}},
    "the mapping's _routing": {"mappings": {"_routing": {"required": True}}},
    "the mapping's runtime": {"mappings": {"runtime": {"r": {"type": "keyword"}}}},
    "the mapping's dynamic_templates": {
        "mappings": {"dynamic_templates": [{"t": {"match_mapping_type": "string", "mapping": {"type": "keyword"}}}]}
    },
    "the field host": {"mappings": {"properties": {"host": {"type": "keyword"}}}},
    "the alias everything": {"aliases": {"everything": {}}},
}
HARMLESS = {
    "settings": {"refresh_interval": "30s", "number_of_replicas": 0},
    "mappings": {"properties": {"city": {"type": "text"}, "image_id": {"type": "keyword", "ignore_above": 3}}},
}


@pytest.fixture
def template(cluster, name):
    """Puts an index template that fits the name of the index; all are removed after the test."""

    def put(content, *, priority=500):
        cluster.client.indices.put_index_template(
            name=f"{name}-foreign", index_patterns=[f"{name}-*"], priority=priority, template=content
        )

    yield put
    for made in (f"{name}-foreign", "image-search"):
        cluster.client.options(ignore_status=404).indices.delete_index_template(name=made)


@pytest.mark.parametrize("part", FOREIGN)
def test_a_foreign_part_is_refused_and_the_remedy_keeps_it_away(cluster, name, template, part):
    template(FOREIGN[part])
    index = ImageIndex(cluster, name=name)
    with pytest.raises(
        IndexTemplateError, match=f"found: {part}. An index template of the cluster does that"
    ) as raised:
        index.create(model=MODEL, vector_index_type="flat")
    with pytest.raises(IndexMissingError):
        index.state()
    assert cluster.client.indices.get(index=f"{name}*").body == {}
    follow_remedy(cluster, raised.value)
    assert index.create(model=MODEL, vector_index_type="flat") == index.state()


def test_the_index_before_stays_if_its_successor_is_refused(index, template):
    before = index.state()
    template({"settings": {"default_pipeline": "p"}})
    for make in (index.create, index.begin_rebuild):
        with pytest.raises(IndexTemplateError, match=rf'"index_patterns": \["{index.name}-\*"\]'):
            make(model=MODEL, vector_index_type="flat")
    assert index.state() == before
    with pytest.raises(IndexMissingError):
        index.rebuild.state()


def test_old_templates_are_refused_too(cluster, name):
    body = {"index_patterns": [f"{name}-*"], "mappings": {"_source": {"enabled": False}}}
    cluster.client.indices.put_template(name=name, **body)
    try:
        with pytest.raises(IndexTemplateError, match="the mapping's _source"):
            ImageIndex(cluster, name=name).create(model=MODEL, vector_index_type="flat")
    finally:
        cluster.client.indices.delete_template(name=name)


def test_templates_that_change_nothing_of_ours_do_no_harm(cluster, name, template, tmp_path):
    template(HARMLESS)
    index = ImageIndex(cluster, name=name)
    index.create(model=MODEL, vector_index_type="int8_hnsw")
    fill(index, tmp_path)
    assert "warm/yellow.png" in make_app(index, tmp_path).test_client().get("/image_search?q=yellow").text


def test_a_template_for_data_streams_is_named(cluster, name):
    cluster.client.indices.put_index_template(
        name=f"{name}-foreign", index_patterns=[f"{name}-*"], priority=500, data_stream={}
    )
    try:
        with pytest.raises(RequestError, match=rf'data streams only.*\["{name}-\*"\]') as raised:
            ImageIndex(cluster, name=name).create(model=MODEL, vector_index_type="flat")
        follow_remedy(cluster, raised.value)
        ImageIndex(cluster, name=name).create(model=MODEL, vector_index_type="flat")
    finally:
        for made in (f"{name}-foreign", "image-search"):
            cluster.client.options(ignore_status=404).indices.delete_index_template(name=made)


def test_an_index_that_was_made_without_its_documents_is_named(cluster, name, tmp_path):
    body = mapping.index_body(model=MODEL, vector_index_type="flat")
    body["mappings"]["_source"] = {"enabled": False}
    cluster.client.indices.create(index=f"{name}-1", aliases={name: {}}, **body)
    index = ImageIndex(cluster, name=name)
    with pytest.raises(IndexTemplateError, match="does not store documents"):
        fill(index, tmp_path)
    page = make_app(index, tmp_path).test_client().get("/")
    assert (page.status_code, "index --delete-existing" in page.text) == (503, True)
    index.create(model=MODEL, vector_index_type="flat")
    fill(index, tmp_path)
