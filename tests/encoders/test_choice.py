"""The encoder that the settings and the index lead to. HF_HUB_OFFLINE makes sure that no test reaches the hub."""

import pytest

from image_embeddings.documents import ModelInfo
from image_embeddings.encoders import check_same_model, choose_encoder
from image_embeddings.errors import ModelMismatchError, ModelUnavailableError
from image_embeddings.sources.samples import captioned_photos
from tests.fakes import ColourEncoder
from tests.tiny_models import make_clip_folder, make_text_folder


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    return make_clip_folder(tmp_path_factory.mktemp("models") / "tiny-clip")


def built_with(model_id):
    return ModelInfo(model_id=model_id, dims=512, preprocessing="x")


def test_auto_falls_back_to_the_built_in_model_and_says_so_in_one_line():
    said = []
    assert choose_encoder("auto", notify=said.append).model_id == "conse"
    assert len(said) == 1
    assert "CLIP cannot be had here" in said[0]
    assert "IMAGE_MODEL" in said[0]
    assert "\n" not in said[0]


def test_auto_takes_the_model_of_the_index_without_a_message():
    said = []
    assert choose_encoder("auto", built_with=built_with("conse"), notify=said.append).model_id == "conse"
    assert said == []


def test_auto_never_replaces_the_model_of_an_index_by_another():
    with pytest.raises(ModelUnavailableError, match=r"'clip-ViT-B-32', which is not at hand.*--rebuild"):
        choose_encoder("auto", built_with=built_with("clip-ViT-B-32"))


def test_a_model_with_a_name_that_no_hub_can_have_is_not_available():
    with pytest.raises(ModelUnavailableError, match="my clip model"):
        choose_encoder("auto", built_with=built_with("my clip model"))


def test_a_folder_is_used_as_named(tiny_clip):
    assert choose_encoder(str(tiny_clip)).model_id == "tiny-clip"


def test_a_text_model_of_another_space_is_refused_at_the_first_text(tiny_clip):
    text_model = make_text_folder(tiny_clip.with_name("tiny-text"))
    encoder = choose_encoder(str(tiny_clip), text_model=str(text_model), samples=captioned_photos)
    with pytest.raises(ModelMismatchError, match=r"TEXT_MODEL '.*tiny-text'.*trained for another"):
        encoder.encode_texts(["a dog"])


def test_another_model_than_the_indexs_is_an_error_that_names_both_and_the_two_ways_out(tiny_clip):
    with pytest.raises(ModelMismatchError) as raised:
        choose_encoder(str(tiny_clip), built_with=built_with("conse"))
    said = str(raised.value)
    assert "'conse'" in said
    assert "'tiny-clip'" in said
    assert "IMAGE_MODEL=conse" in said
    assert "--rebuild" in said


def test_a_missing_model_is_reported_before_a_mismatch():
    with pytest.raises(ModelUnavailableError, match=r"'cones', which is no folder.*IMAGE_MODEL=conse"):
        choose_encoder("cones", built_with=built_with("conse"))


def test_the_same_model_passes():
    check_same_model(ColourEncoder(), ColourEncoder().info)


@pytest.mark.parametrize("changed", [{"dims": 5}, {"preprocessing": "decode-0+colour-1"}, {"probe": (0.0,) * 4}])
def test_the_same_name_for_something_else_is_noticed(changed):
    other = ModelInfo(**{**ColourEncoder().info.__dict__, **changed})
    with pytest.raises(ModelMismatchError, match="another 'colour'"):
        check_same_model(ColourEncoder(), other)


def test_an_index_of_the_decoding_without_profiles_is_gone_on_with():
    older = ModelInfo(**{**ColourEncoder().info.__dict__, "preprocessing": "decode-1+colour-1"})
    assert not ColourEncoder().info.makes_same_embeddings_as(older)
    check_same_model(ColourEncoder(), older)


def test_a_probe_of_another_length_is_another_model():
    info = ColourEncoder().info
    for probe in ((0.1,), (), (0.1, 0.2, 0.3)):
        assert not info.makes_same_embeddings_as(ModelInfo(**{**info.__dict__, "probe": probe}))


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_the_built_in_model_has_one_number_format(precision):
    with pytest.raises(ModelUnavailableError, match=f"ENCODER_PRECISION has value '{precision}'.*Unset it"):
        choose_encoder("conse", precision=precision)
    assert choose_encoder("conse", precision="float32").precision == "float32"
