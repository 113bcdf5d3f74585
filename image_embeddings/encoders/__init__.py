"""Encoders: models that embed images and texts in one space, and the choice between them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from image_embeddings.documents import ModelInfo
from image_embeddings.encoders import clip
from image_embeddings.encoders.base import Encoder
from image_embeddings.encoders.clip import ClipEncoder, Samples
from image_embeddings.encoders.clip_images import AUTO, FLOAT32
from image_embeddings.encoders.conse import ConseEncoder
from image_embeddings.errors import ModelMismatchError, ModelUnavailableError

__all__ = [
    "AUTO",
    "BUILT_IN",
    "CONSE",
    "ClipEncoder",
    "ConseEncoder",
    "Encoder",
    "Samples",
    "check_same_model",
    "choose_encoder",
    "clip",
]

CONSE = "conse"
# The encoders that come with the program, by the name that IMAGE_MODEL gives them. They take the folder `networks`, run
# in float32 only, and encode texts themselves. Every other name is that of a CLIP model.
BUILT_IN: Mapping[str, Callable[..., Encoder]] = {CONSE: ConseEncoder}


def choose_encoder(
    image_model: str,
    *,
    text_model: str | None = None,
    built_with: ModelInfo | None = None,
    precision: str = AUTO,
    samples: Samples | None = None,
    networks: Path | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> Encoder:
    """Return the encoder that IMAGE_MODEL and TEXT_MODEL name.

    `auto` takes the model of the index (`built_with`). If there is no index, it prefers CLIP. `precision` names the
    number format. `networks` is the folder for networks that are made from models. `samples` are photos with captions:
    a TEXT_MODEL has to find these photos before it encodes its first text, and a number format has to agree with
    float32 on them. `notify` gets one line if `auto` falls back to the built-in model.

    Raises:
        ModelUnavailableError: the built-in model is to run in another format than float32.
        ModelMismatchError: the index was built with another model than the one named.
    """
    make = partial(_make_encoder, text_model=text_model, precision=precision, samples=samples, networks=networks)
    if image_model == AUTO:
        return _encoder_of_index(built_with, make) if built_with else _best_available_encoder(make, notify=notify)
    encoder = make(image_model)
    if built_with and encoder.model_id != built_with.model_id:
        if not _can_be_had(image_model):
            raise ModelUnavailableError(
                f"IMAGE_MODEL names '{image_model}', which is no folder, is not in the hub's cache, and cannot be had "
                f"from the model hub. The index was built with '{built_with.model_id}': "
                f"{_keeping(built_with.model_id)} keeps it."
            )
        raise _mismatch(encoder.model_id, built_with.model_id)
    return encoder


def check_same_model(encoder: Encoder, built_with: ModelInfo) -> None:
    """Check that embeddings of `encoder` can be compared with those of the index.

    Raises:
        ModelMismatchError: they cannot: another model, other weights of the same name, or other preprocessing.
    """
    if encoder.model_id != built_with.model_id:
        raise _mismatch(encoder.model_id, built_with.model_id)
    if not _info_for(encoder, built_with).makes_same_embeddings_as(built_with):
        raise ModelMismatchError(
            f"The index was built with another '{built_with.model_id}' than the one at hand: weights, dims "
            f"({built_with.dims} and {encoder.info.dims}) or preprocessing ({built_with.preprocessing} and "
            f"{encoder.info.preprocessing}) differ. Give IMAGE_MODEL the model it was built with, or build it anew: "
            "index --rebuild."
        )


def _info_for(encoder: Encoder, built_with: ModelInfo) -> ModelInfo:
    """Return what an encoder records in an index that was built with another decoding that photos can still get."""
    return replace(encoder.info, preprocessing=encoder.preprocessing_after(built_with.decoding))


def _make_encoder(
    image_model: str, *, text_model: str | None, precision: str, samples: Samples | None, networks: Path | None
) -> Encoder:
    if image_model not in BUILT_IN:
        return ClipEncoder(image_model, text_model=text_model, precision=precision, samples=samples, networks=networks)
    if precision not in (AUTO, FLOAT32):
        raise ModelUnavailableError(
            f"ENCODER_PRECISION has value '{precision}', but the built-in model '{image_model}' runs in float32 only. "
            "Unset it."
        )
    return BUILT_IN[image_model](networks=networks)


def _can_be_had(image_model: str) -> bool:
    """Return whether the model can probably be loaded. For a name of the model hub, ask the hub."""
    return image_model in BUILT_IN or clip.can_be_had(image_model)


def _encoder_of_index(built_with: ModelInfo, make: Callable[[str], Encoder]) -> Encoder:
    if not _can_be_had(built_with.model_id):
        raise ModelUnavailableError(
            f"The index was built with '{built_with.model_id}', which is not at hand. Set IMAGE_MODEL to its folder or "
            "name, connect to the model hub once, or build the index anew with the built-in model: "
            "IMAGE_MODEL=conse and index --rebuild."
        )
    return make(built_with.model_id)


def _best_available_encoder(make: Callable[[str], Encoder], *, notify: Callable[[str], None]) -> Encoder:
    reason = "it is neither in the cache nor can the model hub be reached"
    if clip.can_be_had(clip.CLIP):
        encoder = make(clip.CLIP)
        try:
            encoder.encode_texts(["a photo"])
            encoder.info  # noqa: B018 - loads the image model, which shows that it works
        except ModelUnavailableError as error:
            reason = str(error)
        else:
            return encoder
    notify(
        f"CLIP cannot be had here ({reason}): using the built-in model 'conse'. It knows fewer things; to change, set "
        "IMAGE_MODEL to a clip-ViT-B-32 folder or connect to the hub, then index --rebuild."
    )
    return make(CONSE)


def _mismatch(wanted: str, built_with: str) -> ModelMismatchError:
    return ModelMismatchError(
        f"The index was built with '{built_with}', but IMAGE_MODEL asks for '{wanted}'; their embeddings cannot be "
        f"compared. Keep the index with {_keeping(built_with)}, or build it anew with '{wanted}': "
        "index --rebuild."
    )


def _keeping(built_with: str) -> str:
    """Return the setting that keeps an index that was built with that model; the model may have come from a folder."""
    if _can_be_had(built_with):
        return f"IMAGE_MODEL={built_with}"
    return "IMAGE_MODEL=FOLDER (the one it was built from)"
