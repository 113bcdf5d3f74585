"""The sample photos with their captions, by which a model can be measured."""

from collections import defaultdict
from pathlib import Path

from PIL import Image

from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.errors import CorpusError, ImageError
from image_embeddings.photos.decoding import decode
from image_embeddings.sources.captions_file import CAPTIONS, read_captions

STEP = 5  # every fifth photo: 40 of the 201 with an English caption, from nearly all folders
MAX_PIXELS = 50_000_000


def captioned_photos(folder: Path = SAMPLE_PHOTOS) -> list[tuple[Image.Image, dict[str, str]]]:
    """Return photos, each with a dict of its captions: language -> caption, English first.

    Photos that are not on this machine are left out. No two photos have the same caption.
    """
    try:
        languages = read_captions(folder / CAPTIONS)
    except CorpusError:
        return []
    captions: dict[str, dict[str, str]] = defaultdict(dict)
    for language, texts in sorted(languages.items(), key=lambda item: item[0] != "en"):
        for caption, image_ids in texts.items():
            if len(image_ids) == 1:
                captions[image_ids[0]][language] = caption
    chosen = sorted(image_id for image_id, texts in captions.items() if "en" in texts)[::STEP]
    return [(image, captions[image_id]) for image_id in chosen if (image := _image(folder / image_id))]


def _image(path: Path) -> Image.Image | None:
    try:
        return decode(path.read_bytes(), max_pixels=MAX_PIXELS, what=path.name).image
    except (OSError, ImageError):  # people may remove the samples
        return None
