"""The encoders that every contract test runs on. To add one, add a name and a function that makes it."""

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from image_embeddings.encoders import ClipEncoder, ConseEncoder, Encoder
from tests.tiny_models import make_clip_folder, make_mclip_folder, make_text_folder


@cache
def tiny_models() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tiny-models-"))
    make_clip_folder(folder / "clip")
    make_text_folder(folder / "text")
    make_mclip_folder(folder / "m-clip")
    return folder


def tiny_clip() -> Encoder:
    return ClipEncoder(str(tiny_models() / "clip"), text_model=str(tiny_models() / "text"))


def tiny_clip_in_int8() -> Encoder:
    return ClipEncoder(
        str(tiny_models() / "clip"),
        text_model=str(tiny_models() / "text"),
        precision="int8",
        networks=tiny_models() / "networks",
    )


def conse() -> Encoder:
    return ConseEncoder(networks=tiny_models() / "networks")


def clip_with_mclip() -> Encoder:
    return ClipEncoder(str(tiny_models() / "clip"), text_model=str(tiny_models() / "m-clip"))


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "conse": conse,
    "clip": tiny_clip,
    "clip in int8": tiny_clip_in_int8,
    "clip with m-clip": clip_with_mclip,
}


@pytest.fixture(scope="session", autouse=True)
def _remove_tiny_models():
    yield
    shutil.rmtree(tiny_models(), ignore_errors=True)


@pytest.fixture(scope="session", params=ENCODERS)
def encoder(request):
    return ENCODERS[request.param]()


@pytest.fixture(params=ENCODERS)
def make_encoder(request):
    return ENCODERS[request.param]
