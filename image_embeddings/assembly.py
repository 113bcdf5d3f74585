"""Put the parts together as the settings say: index, encoder, thumbnails and search."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

from image_embeddings.config import SAMPLE_PHOTOS, Settings
from image_embeddings.data_dir import make_data_dir, others_may_enter
from image_embeddings.documents import ModelInfo
from image_embeddings.encoders import Encoder, choose_encoder
from image_embeddings.es.opening import Notify, open_index, silent
from image_embeddings.es.queries import Thoroughness
from image_embeddings.file_stores.choice import store_at
from image_embeddings.photos.decoding import DECODING
from image_embeddings.photos.shared_thumbnails import SharedThumbnails
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.search.image_search import ImageSearch
from image_embeddings.sources.samples import captioned_photos
from image_embeddings.text_model.choice import TextPaths
from image_embeddings.text_model.setup import is_known_text_model, text_model_id


def open_search(settings: Settings, *, notify: Notify = silent) -> ImageSearch:
    """Return a search of the index that the settings name. Its encoder is loaded on first use."""

    def encoder_for(built_with: ModelInfo) -> Encoder:
        return make_encoder(settings, built_with, notify=notify)

    def model_id_for(built_with: ModelInfo) -> str | None:
        return text_model_id(settings, image_model=built_with.model_id)

    with suppress(OSError):  # what needs the folder reports it
        make_data_dir(settings.data_dir)
    return ImageSearch(
        open_index(settings, notify=notify),
        encoder_for=encoder_for,
        text_paths=TextPaths(
            settings.text_encoder, model_id_for=model_id_for, is_known=partial(is_known_text_model, settings)
        ),
        thoroughness=Thoroughness(num_candidates=settings.num_candidates, oversample=settings.oversample),
    )


def thumbnails_of(settings: Settings, *, patience_seconds: float = 0.0) -> Thumbnails:
    """Return the thumbnails, below DATA_DIR or THUMBNAILS. Each decoding has a folder of its own.

    Requests to a store are repeated for `patience_seconds` if it does not answer.

    Raises:
        SettingError: THUMBNAILS names no place.
    """
    here, place = settings.data_dir / "thumbnails", settings.thumbnails
    if isinstance(place, str):
        store = store_at(f"{place}/{DECODING}", settings, patience_seconds=patience_seconds)
        return SharedThumbnails(here / DECODING, store=store)
    return Thumbnails((place or here) / DECODING)


def data_dir_warning(data_dir: Path, *, photos: Path | str) -> str:
    """Return a line with the remedy if DATA_DIR shows these photos to every user of the machine; else an empty text.

    The sample photos are no secret.
    """
    if photos == SAMPLE_PHOTOS or not others_may_enter(data_dir):
        return ""
    return (
        f"Every user of this machine can see the thumbnails and the index in {data_dir}. "
        f"Keep them to yourself: chmod 700 '{data_dir}'"
    )


def make_encoder(settings: Settings, built_with: ModelInfo | None, *, notify: Notify) -> Encoder:
    """Return the encoder that the settings name, or the one that fits an index `built_with` a model."""
    return choose_encoder(
        settings.image_model,
        text_model=settings.text_model,
        built_with=built_with,
        precision=settings.encoder_precision,
        samples=captioned_photos,
        networks=settings.data_dir / "networks",
        notify=notify,
    )
