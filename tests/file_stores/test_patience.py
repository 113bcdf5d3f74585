"""Other machines that are away for a while: they are asked again, and the log says what is waited for."""

import pytest

from image_embeddings.errors import CorpusError, SourceUnreachableError
from image_embeddings.file_stores.patience import call_patiently

AWAY = SourceUnreachableError("HDFS does not answer.", passes=True)


def failing(*errors):
    """Return a function that raises one error after the other, and then returns 1."""
    left = list(errors)

    def call():
        if left:
            raise left.pop(0)
        return 1

    return call


def test_what_is_waited_for_is_told_once(caplog):
    assert call_patiently(failing(AWAY, AWAY), seconds=60) == 1
    assert [record.message for record in caplog.records] == ["HDFS does not answer. Waiting for up to 60 s."]


def test_without_patience_the_first_error_is_the_answer(caplog):
    with pytest.raises(SourceUnreachableError):
        call_patiently(failing(AWAY), seconds=0)
    assert caplog.records == []


def test_an_error_that_does_not_pass_is_not_waited_for(caplog):
    with pytest.raises(CorpusError):
        call_patiently(failing(CorpusError("There is no folder.")), seconds=60)
    assert caplog.records == []
