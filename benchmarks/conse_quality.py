"""How well does `conse` find photos by text in many languages, and by image? It is compared with its plainest form.

    python benchmarks/conse_quality.py            # apt install tuxpaint-stamps-default first

The photos are those of Tux Paint's stamps. Each shows one thing, cut out, and has captions in dozens of languages. Each
is used twice: on white as it is, and small and off-centre before a blurred real background. The second is more like the
photos that people take. Nothing was trained on these photos. But settings were chosen on every other category, so look
at `held out`.

Each caption is a query. Recall@k is the share of queries whose photo (or one with the same caption) is among the k
hits. For image to image, the figure is the share of a photo's 5 nearest neighbours that are of its own category
(folder), in categories of 6 photos and more.

The baseline is ConSE as published: the text embedding of a class is the mean of its synonyms (top 20 classes,
temperature 1.5, the image squeezed to a square). The prototype is the same with 0.8 times the class's WordNet gloss
added.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.encoders.conse import (  # noqa: E402
    IMAGE_SIZE,
    Classifier,
    ConseEncoder,
    load_classes,
)
from image_embeddings.encoders.onnx_network import NetworkStore  # noqa: E402
from image_embeddings.encoders.sentence_encoder import SentenceEncoder  # noqa: E402

STAMPS = Path("/usr/share/tuxpaint/stamps")
SUBJECTS = {
    "animals",
    "food",
    "hobbies",
    "household",
    "medical",
    "military",
    "naturalforces",
    "people",
    "plants",
    "space",
    "sports",
    "town",
    "vehicles",
}
NOT_PHOTOS = {"cartoon", "body_parts", "flags", "roadsigns"}  # folders
DRAWINGS = {  # single drawings in folders of photos, and pictures of things that cannot be recognised
    "animals/fish/shrimp",
    "animals/insects/bee",
    "animals/insects/fly",
    "animals/mammals/echidna",
    "animals/mammals/hedgehog",
    "food/pizza",
    "medical/tooth",
    "military/fireman2",
    "naturalforces/lightning",
    "town/monuments/inukshuk",
}
# The languages that the text model knows besides English. pt and pt_BR, and zh_CN and zh_TW, count separately.
LANGUAGES = ["ar", "de", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "pt_BR", "ru", "th", "tr", "zh_CN", "zh_TW"]
# One of each language, with at least 280 captions.
ELEVEN = ["ar", "de", "es", "fr", "it", "ja", "ko", "nl", "pl", "ru", "tr"]
NEIGHBOURS = 5
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Stamp:
    """One photo, and its captions by language."""

    path: Path
    category: str
    captions: dict[str, str]


class Method(NamedTuple):
    """The embeddings of one method: of images, (n, dims), and by language of the captions that there are."""

    name: str
    images: Array
    texts: dict[str, Array]


def main() -> None:
    """Print a table for the photos on white, and one for those in scenes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=Path, default=STAMPS, metavar="FOLDER")
    args = parser.parse_args()
    stamps = load_stamps(args.stamps)
    if not stamps:
        sys.exit(f"No photos in {args.stamps}: apt install tuxpaint-stamps-default, or name the folder with --stamps.")
    cut_outs = [cut_out(stamp.path) for stamp in stamps]
    report("on white", stamps, [on_white(image) for image in cut_outs])
    report("in scenes", stamps, in_scenes(cut_outs))


def load_stamps(folder: Path) -> list[Stamp]:
    """Return the photographs among the stamps, sorted by path."""
    stamps = []
    for path in sorted(folder.rglob("*.png")):
        name = path.relative_to(folder).with_suffix("")
        is_photo = name.parts[0] in SUBJECTS and not NOT_PHOTOS & set(name.parts) and name.as_posix() not in DRAWINGS
        if is_photo and path.with_suffix(".txt").exists():
            stamps.append(Stamp(path, name.parent.as_posix(), captions(path.with_suffix(".txt"))))
    return stamps


def captions(path: Path) -> dict[str, str]:
    """Return the captions by language. A caption that only repeats the English one is not a translation."""
    english, *translations = path.read_text(encoding="utf-8").splitlines()
    found = {"en": english.strip()}
    for line in translations:
        language, _, text = line.partition(".utf8=")
        if language in LANGUAGES and text.strip() not in {"", found["en"]}:
            found[language] = text.strip()
    return found


def cut_out(path: Path) -> Image.Image:
    """Return the photo with its transparent background."""
    with Image.open(path) as image:
        return image.convert("RGBA")


def on_white(image: Image.Image) -> Image.Image:
    """Return the cut-out on white."""
    background = Image.new("RGBA", image.size, "white")
    background.alpha_composite(image)
    return background.convert("RGB")


def in_scenes(images: Sequence[Image.Image]) -> list[Image.Image]:
    """Return each cut-out at a random place in a blurred 3:2 photo. It fills at most 3/4 of each side.

    One photo in four is upright.
    """
    from sklearn.datasets import load_sample_images

    backgrounds = [Image.fromarray(photo) for photo in load_sample_images().images]
    rng = np.random.default_rng(0)
    return [
        in_scene(image, backgrounds, (480, 320) if number % 4 else (320, 480), rng)
        for number, image in enumerate(images)
    ]


def in_scene(
    image: Image.Image, backgrounds: Sequence[Image.Image], size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    """Return one cut-out in front of a random part of one of `backgrounds`."""
    background = backgrounds[int(rng.integers(len(backgrounds)))]
    width, height = size[0] * 2 // 3, size[1] * 2 // 3
    left, top = (
        int(rng.integers(0, 1 + max(0, room))) for room in (background.width - width, background.height - height)
    )
    part = background.crop((left, top, left + width, top + height))
    scene = part.resize(size).filter(ImageFilter.GaussianBlur(4)).convert("RGBA")
    scale = min(0.75 * size[0] / image.width, 0.75 * size[1] / image.height)
    image = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))
    place = (int(rng.integers(0, size[0] - image.width)), int(rng.integers(0, size[1] - image.height)))
    scene.alpha_composite(image, place)
    return scene.convert("RGB")


def report(title: str, stamps: Sequence[Stamp], images: Sequence[Image.Image]) -> None:
    """Print the table for one way to show the photos."""
    methods = [*plain_methods(stamps, images), conse(stamps, images)]
    categories = sorted({stamp.category for stamp in stamps})
    chosen_on = np.array([categories.index(stamp.category) % 2 == 0 for stamp in stamps])
    print(f"\n{len(stamps)} photos {title}; {len(categories)} categories")
    print(f"{'':34} {'English':^17} {'11 languages':^17} {'16 l.':>6} {'image':>7}")
    print(f"{'':34} " + f"{'@1':>5} {'@5':>5} {'@10':>5} " * 2 + f"{'@10':>6} {'@5':>7}")
    print_row("chance", *chance(stamps))
    for method in methods:
        print_row(method.name, *measures(method, stamps, np.ones(len(stamps), bool)))
    for name, part in (("chosen on", chosen_on), ("held out", ~chosen_on)):
        for method in methods:
            print_row(f"{name}: {method.name}", *measures(method, stamps, part))
    per_language(methods, stamps)


def print_row(name: str, english: Array, eleven: Array, others: float, image: float) -> None:
    """Print one line of the table."""
    cells = " ".join(f"{value:5.3f}" for value in (*english, *eleven))
    print(f"{name:34} {cells} {others:6.3f} {image:7.3f}")


def per_language(methods: Sequence[Method], stamps: Sequence[Stamp]) -> None:
    """Print recall@10 by language, of the baseline and of the last method."""
    everyone = np.ones(len(stamps), bool)
    for method in (methods[0], methods[-1]):
        cells = (f"{language} {recalls(method, stamps, language, everyone)[-1]:.2f}" for language in LANGUAGES)
        print(f"  @10, {method.name}: " + ", ".join(cells))


def plain_methods(stamps: Sequence[Stamp], images: Sequence[Image.Image]) -> list[Method]:
    """Return the baseline and the prototype."""
    classes, classifier, encode = load_classes(), Classifier(NetworkStore()), SentenceEncoder().encode
    synonyms = unit(np.stack([encode(names.split(", ")).mean(axis=0) for names in classes.names]))
    with_gloss = unit(synonyms + 0.8 * encode(classes.glosses))
    squeezed = (image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC) for image in images)
    weights = np.stack([published_weights(classifier.logits(np.asarray(image)[None])[0]) for image in squeezed])
    texts = {language: encode(texts_in(language, stamps)) for language in ["en", *LANGUAGES]}
    return [
        Method("baseline: synonyms", unit(weights @ synonyms), texts),
        Method("prototype: + 0.8 gloss", unit(weights @ with_gloss), texts),
    ]


def published_weights(logits: Array, *, top: int = 20, temperature: float = 1.5) -> Array:
    """Return the probabilities of the top classes, and 0 for the others: (1000,) -> (1000,)."""
    weights = np.exp((logits - logits.max()) / temperature)
    weights[np.argsort(-weights, kind="stable")[top:]] = 0
    return np.asarray(weights / weights.sum(), np.float32)


def conse(stamps: Sequence[Stamp], images: Sequence[Image.Image]) -> Method:
    """Return the embeddings of the encoder as it is released."""
    encoder = ConseEncoder()
    texts = {language: encoder.encode_texts(texts_in(language, stamps)) for language in ["en", *LANGUAGES]}
    return Method("conse", encoder.encode_images(images), texts)


def texts_in(language: str, stamps: Sequence[Stamp]) -> list[str]:
    """Return the captions that there are in that language."""
    return [stamp.captions[language] for stamp in stamps if language in stamp.captions]


def measures(method: Method, stamps: Sequence[Stamp], part: NDArray[np.bool_]) -> tuple[Array, Array, float, float]:
    """Return what the table shows of one method, for queries from `part` that search all photos.

    These are recall@1, @5 and @10 in English, the same as a mean over 11 languages, mean recall@10 over all languages,
    and the share of neighbours of the same category.
    """
    by_language = {language: recalls(method, stamps, language, part) for language in LANGUAGES}
    eleven = np.stack([by_language[language] for language in ELEVEN]).mean(axis=0)
    others = float(np.mean([values[-1] for values in by_language.values()]))
    return recalls(method, stamps, "en", part), eleven, others, neighbours_alike(method.images, stamps, part)


def recalls(method: Method, stamps: Sequence[Stamp], language: str, part: NDArray[np.bool_]) -> Array:
    """Return recall@1, @5 and @10 of the captions in one language."""
    has = np.array([language in stamp.captions for stamp in stamps])
    scores = method.texts[language] @ method.images.T
    english = np.array([stamp.captions["en"] for stamp in stamps])
    right = np.where(english[has][:, None] == english, scores, -np.inf).max(axis=1, keepdims=True)
    ranks = (scores > right).sum(axis=1)[part[has]]
    return np.array([(ranks < k).mean() for k in (1, 5, 10)], np.float32)


def neighbours_alike(images: Array, stamps: Sequence[Stamp], part: NDArray[np.bool_]) -> float:
    """Return the mean share of the nearest neighbours that are of the photo's own category."""
    alike, large = same_category(stamps)
    scores = images @ images.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1)[:, :NEIGHBOURS]
    return float(np.take_along_axis(alike, nearest, axis=1).mean(axis=1)[large & part].mean())


def same_category(stamps: Sequence[Stamp]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pairs of different photos share a category, (n, n), and which photos have enough such pairs."""
    category = np.array([stamp.category for stamp in stamps])
    alike = category[:, None] == category
    np.fill_diagonal(alike, False)
    return alike, alike.sum(axis=1) >= NEIGHBOURS


def chance(stamps: Sequence[Stamp]) -> tuple[Array, Array, float, float]:
    """Return the figures that random embeddings would reach."""
    alike, large = same_category(stamps)
    recall = np.array([k / len(stamps) for k in (1, 5, 10)], np.float32)
    return recall, recall, float(recall[-1]), float(alike[large].sum(axis=1).mean() / (len(stamps) - 1))


def unit(array: Array) -> Array:
    """Return the rows at unit length."""
    return np.asarray(array / np.linalg.norm(array, axis=-1, keepdims=True), np.float32)


if __name__ == "__main__":
    main()
