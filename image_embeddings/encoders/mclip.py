"""M-CLIP text models in their own published layout, as a SentenceTransformer of the same three steps.

Source: Carlsson et al., "Cross-lingual and Multilingual CLIP", 2022, and the models `M-CLIP/…` on the hub. Such a
model is a multilingual transformer (mean over its tokens) and a linear layer into the space of a CLIP image model. Its
config.json names the transformer (`modelBase`) and says nothing else of it, so that one's own config.json is needed
too; its weights are not, for the M-CLIP file holds all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_embeddings.errors import ModelUnavailableError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MODEL_TYPE = "M-CLIP"
SAFE_WEIGHTS, WEIGHTS = "model.safetensors", "pytorch_model.bin"
SMALL_FILES = ("*.json", "*.txt", "*.model")  # config and tokenizer; the hub's folders hold TensorFlow weights as well
_TRANSFORMER, _LINEAR = "transformer.", "LinearTransformation."

Weights = dict[str, Any]  # name -> torch tensor
Shapes = dict[str, tuple[int, ...]]


def is_mclip(name: str) -> bool:
    """Whether a folder, or a name in the hub's cache or on the hub, is an M-CLIP model."""
    return _own_config(name).get("model_type") == MODEL_TYPE


def load(name: str) -> SentenceTransformer:
    """The M-CLIP model of a folder or hub name; texts longer than the transformer has positions are cut.

    Published code does not cut, and fails on those: every text that it can encode comes out here as it does there.

    Raises:
        ModelUnavailableError: the transformer's config cannot be had, or the weights do not fit it.
        OSError, RuntimeError, ValueError, KeyError, …: files are missing or damaged, in the libraries' own words.
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
    """The folder itself, or the hub's files in its cache: the weights in one format only."""
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

    # weights_only: the file is a pickle, and nothing but tensors is taken out of it.
    weights: Weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    return weights


def _part(weights: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _transformer(config: Any) -> tuple[Any, Shapes]:
    """Class and shapes of the transformer that a config describes; no memory is taken for it."""
    import torch
    from transformers import AutoModel

    with torch.device("meta"):
        empty = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    shapes = {f"{_TRANSFORMER}{key}": tuple(tensor.shape) for key, tensor in empty.state_dict().items()}
    return type(empty), shapes


def _check(weights: Weights, shapes: Shapes, *, name: str) -> None:
    """Returns where the weights are exactly those that are wanted.

    The transformer's pooler, and the numbers of positions that older versions of the library wrote down, take no part
    in the mean over the tokens: they may be there or not.
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
    """Tokens that fit: RoBERTa's kind counts positions from behind its padding token."""
    positions = transformer.embeddings.position_embeddings
    passed_over = 0 if positions.padding_idx is None else positions.padding_idx + 1
    return int(min(tokenizer.model_max_length, positions.num_embeddings - passed_over))


def _first_module(transformer: Any, tokenizer: Any) -> Any:
    """Texts to token embeddings; sentence-transformers' own module for this only loads from its own layout."""
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
