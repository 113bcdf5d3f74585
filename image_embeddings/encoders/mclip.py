"""M-CLIP text models in their own published layout, loaded as a SentenceTransformer of the same three steps.

Source: Carlsson et al., "Cross-lingual and Multilingual CLIP", 2022, and the models `M-CLIP/…` on the hub. Such a model
is a multilingual transformer (mean over its tokens) and a linear layer into the space of a CLIP image model. Its
config.json names the transformer (`modelBase`) and says nothing else about it. So the transformer's own config.json is
needed too. The transformer's weights are not needed, because the M-CLIP file holds all weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_embeddings.errors import ModelUnavailableError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MODEL_TYPE = "M-CLIP"
SAFE_WEIGHTS, WEIGHTS = "model.safetensors", "pytorch_model.bin"
SMALL_FILES = ("*.json", "*.txt", "*.model")  # config and tokenizer; the hub's folders also hold TensorFlow weights
_TRANSFORMER, _LINEAR = "transformer.", "LinearTransformation."

Weights = dict[str, Any]  # name -> torch tensor
Shapes = dict[str, tuple[int, ...]]


def is_mclip(name: str) -> bool:
    """Return whether a folder, or a name in the hub's cache or on the hub, is an M-CLIP model."""
    return _own_config(name).get("model_type") == MODEL_TYPE


def load(name: str) -> SentenceTransformer:
    """Return the M-CLIP model of a folder or hub name; it cuts texts that are longer than the transformer's positions.

    The published code does not cut texts, and fails on those. All other texts get the same embeddings as there.

    Raises:
        ModelUnavailableError: the transformer's config cannot be found, or the weights do not fit it.
        OSError, RuntimeError, ValueError, KeyError, …: files are missing or damaged; the libraries raise these.
    """
    from sentence_transformers import SentenceTransformer, models
    from torch import nn
    from transformers import AutoTokenizer

    folder, own = _folder(name), _own_config(name)
    base = _base_config(own["modelBase"], beside=folder)
    weights = _weights(folder)
    model_class, shapes = _transformer(base)
    hidden, dims = base.hidden_size, own["numDims"]
    _check(weights, {**shapes, f"{_LINEAR}weight": (dims, hidden), f"{_LINEAR}bias": (dims,)}, name=name)
    transformer = model_class.from_pretrained(None, config=base, state_dict=_part(weights, _TRANSFORMER))
    tokenizer = AutoTokenizer.from_pretrained(folder, config=base, trust_remote_code=False)  # type: ignore[no-untyped-call]
    linear = models.Dense(hidden, dims, activation_function=nn.Identity())
    linear.linear.load_state_dict(_part(weights, _LINEAR))
    pooling = models.Pooling(hidden, pooling_mode="mean")
    return SentenceTransformer(modules=[_first_module(transformer, tokenizer), pooling, linear], device=None)


def _own_config(name: str) -> dict[str, Any]:
    from transformers import PretrainedConfig

    try:
        return dict(PretrainedConfig.get_config_dict(name)[0])
    except OSError:  # sentence-transformers folders need not have one
        return {}


def _folder(name: str) -> Path:
    """Return the folder itself, or the one in the hub's cache, filled with the files and with one format of weights."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(name, allow_patterns=[*SMALL_FILES, SAFE_WEIGHTS]))
    if not (folder / SAFE_WEIGHTS).exists():
        snapshot_download(name, allow_patterns=[WEIGHTS])
    return folder


def _base_config(model_base: str, *, beside: Path) -> Any:
    from transformers import AutoConfig

    neighbour = beside.resolve().parent / Path(model_base).name
    try:
        return AutoConfig.from_pretrained(neighbour if neighbour.is_dir() else model_base, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(
            f"The M-CLIP model in {beside} is built upon '{model_base}', whose config.json is neither in the folder "
            f"{neighbour} nor in the hub's cache, and cannot be had from the hub. Put that one file there (the weights "
            "are not needed), or connect to the model hub once."
        ) from error


def _weights(folder: Path) -> Weights:
    if (folder / SAFE_WEIGHTS).exists():
        from safetensors.torch import load_file

        return load_file(folder / SAFE_WEIGHTS)
    import torch

    # The file is a pickle. With weights_only, nothing but tensors is read from it.
    weights: Weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    return weights


def _part(weights: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _transformer(config: Any) -> tuple[Any, Shapes]:
    """Return class and shapes of the transformer that a config describes; this takes no memory for its weights."""
    import torch
    from transformers import AutoModel

    with torch.device("meta"):
        empty = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    shapes = {f"{_TRANSFORMER}{key}": tuple(tensor.shape) for key, tensor in empty.state_dict().items()}
    return type(empty), shapes


def _check(weights: Weights, shapes: Shapes, *, name: str) -> None:
    """Check that the weights are exactly those that are needed.

    The transformer's pooler takes no part in the mean over the tokens, nor do the numbers of positions that older
    versions of the library stored. So these weights may be there or not.

    Raises:
        ModelUnavailableError: weights are missing, are too many, or have another shape.
    """
    found = {key: tuple(getattr(tensor, "shape", ())) for key, tensor in dict(weights).items()}
    wrong = [
        f"{said} {key}"
        for said, keys in (
            ("lack", shapes.keys() - found.keys()),
            ("have too many:", found.keys() - shapes.keys()),
            ("have another shape:", {key for key in shapes.keys() & found.keys() if shapes[key] != found[key]}),
        )
        for key in sorted(keys)
        if not (key.startswith(f"{_TRANSFORMER}pooler.") or key.endswith("position_ids"))
    ]
    if wrong:
        raise ModelUnavailableError(
            f"The weights of the M-CLIP model '{name}' {wrong[0]}{f' (and {len(wrong) - 1} more)' * (len(wrong) > 1)}. "
            "They do not fit the transformer and dims that its config.json names, or the file is damaged: fetch the "
            "model again."
        )


def _longest(transformer: Any, tokenizer: Any) -> int:
    """Return how many tokens fit; models like RoBERTa count positions from the one after the padding token."""
    positions = transformer.embeddings.position_embeddings
    passed_over = 0 if positions.padding_idx is None else positions.padding_idx + 1
    return int(min(tokenizer.model_max_length, positions.num_embeddings - passed_over))


def _first_module(transformer: Any, tokenizer: Any) -> Any:
    """Return a module from texts to token embeddings; that of sentence-transformers loads its own layout only."""
    from sentence_transformers.models import InputModule

    class Tokens(InputModule):
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.transformer = transformer
            self.tokenizer = tokenizer
            self.max_seq_length = _longest(transformer, tokenizer)

        def tokenize(self, texts: list[str], **options: Any) -> dict[str, Any]:
            return dict(
                self.tokenizer(
                    texts, padding=True, truncation=True, max_length=self.max_seq_length, return_tensors="pt"
                )
            )

        def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
            taken = {key: features[key] for key in self.tokenizer.model_input_names if key in features}
            return {**features, "token_embeddings": self.transformer(**taken).last_hidden_state}

        def save(self, output_path: str, *args: Any, **options: Any) -> None:
            raise NotImplementedError("An M-CLIP model is read, never written.")

    return Tokens()
