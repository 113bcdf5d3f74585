"""The work of the server's native process: it loads the TorchScript, tokenises texts, and makes embeddings.

The tokeniser follows the uploaded configuration. It is a stand-in: transformers' BertTokenizer, which composes accents
(NFC) first. The server's own tokeniser does not compose them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.ml_front import errors

if TYPE_CHECKING:
    import torch

# The operations that the server lets a model of this architecture use (checked from 8.19.20, 9.4 and 9.5 on).
_ALLOWED = """
    add cat clamp contiguous div embedding expand expand_as gelu layer_norm linear linear_dynamic masked_fill mul
    scaled_dot_product_attention size slice sub sum to transpose unsqueeze view
"""
ALLOWED_OPERATIONS = frozenset(_ALLOWED.split())
DEFAULTS = {"do_lower_case": False, "with_special_tokens": True, "max_sequence_length": 512, "truncate": "first"}


class UnsupportedModelError(Exception):
    """The server's process would refuse to load the model."""


class TextEmbedder:
    """A loaded model: texts in, embeddings out."""

    def __init__(self, model: Path, vocabulary: Path, tokenization: dict[str, Any]) -> None:
        """Load a file; raise RuntimeError if it is no TorchScript, UnsupportedModelError for forbidden operations."""
        import torch
        from transformers import BertTokenizer

        self.settings = {**DEFAULTS, **tokenization}
        self._module = torch.jit.load(str(model), map_location="cpu").eval()
        unknown = sorted(operations(self._module) - ALLOWED_OPERATIONS)
        if unknown:
            raise UnsupportedModelError(
                "Model graph does not match any supported architecture. Unrecognised operations: " + ", ".join(unknown)
            )
        self._tokenizer = BertTokenizer(str(vocabulary), do_lower_case=self.settings["do_lower_case"])

    def tokens(self, model_id: str, text: str, *, truncate: str | None = None) -> tuple[list[int], bool]:
        """Return the text's token ids, and whether it was cut to the length that the configuration allows."""
        limit = self.settings["max_sequence_length"]
        ids = self._tokenizer.encode(text, add_special_tokens=self.settings["with_special_tokens"], verbose=False)
        if len(ids) <= limit:
            return ids, False
        if (truncate or self.settings["truncate"]) == "none":
            raise errors.input_too_large(model_id, length=len(ids), limit=limit)
        # The last one is [SEP], if there are special tokens.
        return (ids[: limit - 1] + ids[-1:] if self.settings["with_special_tokens"] else ids[:limit]), True

    def embed(self, ids: list[int]) -> list[float]:
        import torch

        with torch.inference_mode():
            tokens = torch.tensor([ids])
            places = torch.arange(len(ids)).unsqueeze(0)
            embedding: list[float] = self._module(
                tokens, torch.ones_like(tokens), torch.zeros_like(tokens), places
            ).tolist()[0]
        return embedding


def operations(module: torch.jit.ScriptModule) -> set[str]:
    """Return the names of the operations in a model's graph, without their namespaces (aten, quantized)."""
    kinds = (node.kind() for node in _nodes(module.inlined_graph))
    return {kind.partition("::")[2] for kind in kinds if not kind.startswith("prim::")}


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from _nodes(block)
