"""The errors made of Elasticsearch's refusals, whose reasons are its own words, as in tests.ml_front."""

import pytest

from image_embeddings import errors
from image_embeddings.text_model.model import text_model_errors
from tests.ml_front import errors as refusals

CASES = [
    (refusals.no_config("m"), errors.TextModelMissingError, "text-model install"),
    (refusals.no_model("m"), errors.TextModelMissingError, "text-model install"),
    (refusals.no_definition("m"), errors.TextModelIncompleteError, "--clear-previous"),
    (refusals.truncated_definition("m"), errors.TextModelIncompleteError, "--clear-previous"),
    (refusals.no_deployed_model("m"), errors.TextModelStoppedError, "Start it"),
    (refusals.not_deployed("m"), errors.TextModelStoppedError, "Start it"),
    (refusals.not_allocated("m"), errors.TextModelStartingError, "Wait a minute"),
    (refusals.already_started("m"), errors.TextModelStartingError, "Wait a minute"),
    (refusals.start_timeout("m"), errors.TextModelStartingError, "Wait a minute"),
    (refusals.not_in_use("m", "stopping"), errors.TextModelStoppedError, "start it again"),
    (refusals.not_in_use("m", "failed"), errors.TextModelFailedError, "log of its ML node"),
    (refusals.process_failed("m"), errors.TextModelFailedError, "pytorch_inference process failed"),
    (refusals.no_memory("m"), errors.TextModelMemoryError, "MEM_LIMIT"),
    (refusals.still_deployed("m"), errors.TextModelError, "is in use"),
    (refusals.input_too_large("m"), errors.TextModelInputError, "Use fewer words"),
    (refusals.inference_timeout("m"), errors.TextModelSlowError, "load of the ML node"),
    (refusals.queue_full("m"), errors.TextModelBusyError, "Try again in a moment"),
    (refusals.no_text("text_field"), errors.TextModelError, "another name than text_field"),
    (refusals.still_referenced("m"), errors.TextModelError, "ingest pipelines"),
]


@pytest.mark.parametrize(("refusal", "error", "remedy"), CASES, ids=[case[0].reason[:50] for case in CASES])
def test_each_refusal_is_an_error_with_a_remedy(refusal, error, remedy):
    refused = errors.RequestError("refused", status=refusal.status, kind="status_exception", reason=refusal.reason)
    with pytest.raises(error) as raised, text_model_errors("m"):
        raise refused
    assert type(raised.value) is error
    assert "The text model 'm' " in str(raised.value)
    assert remedy in str(raised.value)


def test_an_error_that_is_not_about_the_text_model_stays_unchanged():
    with pytest.raises(errors.RequestError, match="closed"), text_model_errors("m"):
        raise errors.RequestError("closed", status=400, kind="index_closed_exception", reason="closed")


@pytest.mark.parametrize(
    ("reason", "error", "said"),
    [
        (
            refusals.not_licensed("m").reason,
            errors.TextModelLicenceError,
            "licence does not include machine learning",
        ),
        (
            "action [cluster:monitor/xpack/ml/inference/infer] is unauthorized for user [reader]",
            errors.TextModelPermissionError,
            "monitor_ml",
        ),
        ("action [indices:data/write] is unauthorized for user [ml] of [ml]", errors.PermissionDeniedError, "denied"),
        ("action [indices:data/read/search] is unauthorized for user [reader]", errors.PermissionDeniedError, "denied"),
    ],
)
def test_a_403_is_classified_by_its_subject(reason, error, said):
    with pytest.raises(error, match=said), text_model_errors("m"):
        raise errors.PermissionDeniedError("denied", reason=reason)
