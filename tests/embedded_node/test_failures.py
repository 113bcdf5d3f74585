import psutil
import pytest

from image_embeddings import errors
from image_embeddings.embedded_node.failures import explain, heap_bytes, readable_file_errors
from image_embeddings.embedded_node.node import EmbeddedNode
from tests.embedded_node.test_jars import no_network


def test_a_heap_larger_than_the_memory_is_refused_before_anything_starts(tmp_path):
    heap = f"{psutil.virtual_memory().total // 2**30 + 1}g"
    with pytest.raises(errors.NodeMemoryError, match=r"ES_HEAP .* ES_HOST"):
        EmbeddedNode(tmp_path, heap=heap, fetch_jars=no_network).start()


def test_a_full_disk_is_an_error_that_says_so(tmp_path):
    with pytest.raises(errors.NodeStartError, match="is full"), readable_file_errors(tmp_path):
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_after_half_a_download_is_not_called_a_download_error(tmp_path):
    def full(scratch):
        raise OSError(28, "No space left on device")

    with pytest.raises(errors.NodeStartError, match="is full"):
        EmbeddedNode(tmp_path, fetch_jars=full).start()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("java.net.BindException: Address already in use", errors.NodePortError),
        ("Could not reserve enough space for 104857600KB object heap", errors.NodeMemoryError),
        ("java.lang.OutOfMemoryError: Java heap space", errors.NodeMemoryError),
        ("cannot downgrade a node from version [9.6.0] to version [9.5.3]", errors.NodeDataError),
        ("org.apache.lucene.index.CorruptIndexException: checksum failed", errors.NodeDataError),
        ("java.io.IOException: No space left on device", errors.NodeStartError),
        ("java.lang.IllegalStateException: something else", errors.NodeStartError),
        ("", errors.NodeStartError),
    ],
)
def test_the_log_of_a_failed_start_says_why(tmp_path, line, error):
    log = tmp_path / "start.log"
    log.write_text(f"WARNING: words\n{line}\n\tat a.b.c(D.java:1)\n" if line else "")
    explained = explain(log, home=tmp_path, heap="1g", java="bundled")
    assert type(explained) is error
    assert "ES_HOST" in str(explained)


def test_an_unexplained_failure_shows_the_cause_and_not_the_stack(tmp_path):
    log = tmp_path / "start.log"
    log.write_text("java.lang.IllegalStateException: something else\n" + "\tat a.b.c(D.java:1)\n" * 50)
    message = str(explain(log, home=tmp_path, heap="1g", java="bundled"))
    assert "something else" in message
    assert str(log) in message
    assert "D.java" not in message


def test_heaps_are_in_mebibytes_or_gibibytes():
    assert (heap_bytes("512m"), heap_bytes("2g")) == (512 * 2**20, 2 * 2**30)
