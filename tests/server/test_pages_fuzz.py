"""Random requests to the pages: none is a fault of the app, and none shows what Elasticsearch says.

`--fuzzed 20000` sends more of them, and `--fuzz-seed` others.
"""

import re
from collections import Counter

import pytest

from tests.request_grammar import Grammar
from tests.server.web_client import colour_app, picture, upload

pytestmark = [pytest.mark.server, pytest.mark.timeout(1800)]  # 1,500 requests take some 23 s, and --fuzzed sends more

MOST_BYTES = 1_000_000
# What Elasticsearch says if it refuses a request. No request of the grammar has these words.
WORDS_OF_ELASTICSEARCH = re.compile(r"_exception|Elasticsearch refused|caused_by|root_cause|failed to (parse|create)")
RAISED = re.compile(r'^  File ".*/(?:app|image_embeddings)/.*|^[\w.]+(?:Error|Exception|Iteration)\b.*', re.MULTILINE)


@pytest.fixture(scope="module")
def app(cluster, tmp_path_factory):
    """The app over the colour photos; no test changes them."""
    with colour_app(cluster, tmp_path_factory.mktemp("fuzz"), name="test-fuzz") as app:
        yield app


def copies_of(client):
    pages = [client.post("/similar_image", data=upload(picture(colour))).text for colour in ("red", "green")]
    return [re.search(r'name="picture" value="([^"]+)"', page)[1] for page in pages]


def fault_of(answer):
    """Return what is wrong with an answer, or with one that led to it; empty if both are as they should be."""
    for each in (*answer.history, answer):
        if fault := fault_of_one(each):
            return fault
    return ""


def fault_of_one(answer):
    if answer.status_code in (500, 503):
        return f"status {answer.status_code}"
    if len(answer.data) > MOST_BYTES:
        return f"{len(answer.data)} bytes"
    found = WORDS_OF_ELASTICSEARCH.search(answer.text) if answer.mimetype in ("text/html", "application/json") else None
    return f"says {found[0]}" if found else ""


def test_no_random_request_is_a_fault_or_shows_words_of_elasticsearch(app, request, caplog):
    client = app.test_client()
    grammar = Grammar(app, seed=request.config.getoption("--fuzz-seed"), copies=copies_of(client))
    statuses, faults = Counter(), []
    for number in range(request.config.getoption("--fuzzed")):
        sent = grammar.make(number)
        with sent.send(client) as answer:
            statuses[answer.status_code] += 1
            if fault := fault_of(answer):
                asked = (sent.method, sent.address[:100], str([*sent.query, *sent.form])[:500])
                faults.append((number, fault, *asked, RAISED.findall(caplog.text)[-3:]))
        caplog.clear()
        if number % 1000 == 999:
            print(f"\n{number + 1} requests, {len(faults)} faults; answers by status: {dict(sorted(statuses.items()))}")
    assert not faults, "\n".join(map(str, faults[:50]))
    # Most requests are not refused; 0.7 and 0.01 were seen.
    assert statuses[200] > 0.15 * statuses.total()
    assert statuses[414] < 0.05 * statuses.total()
