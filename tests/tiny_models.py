"""Tiny CLIP and DistilBERT folders with random weights, in sentence-transformers' own layout: the real loading code
runs on them, and what they find means nothing."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer, models
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    DistilBertConfig,
    DistilBertModel,
    DistilBertTokenizer,
)

DIMS = 32


def make_clip_folder(folder: Path, *, seed: int = 0) -> Path:
    """A CLIP image and text model of 32 dims in `folder`."""
    torch.manual_seed(seed)
    raw = folder.with_name(folder.name + "-raw")
    raw.mkdir(parents=True)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    letters = [chr(code) for code in range(33, 127)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (raw / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (raw / "merges.txt").write_text("#version: 0.2\n")
    config = CLIPConfig(
        text_config={**tower, "vocab_size": len(words), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
        vision_config={**tower, "image_size": 224, "patch_size": 32},
        projection_dim=DIMS,
    )
    CLIPModel(config).save_pretrained(raw)
    tokenizer = CLIPTokenizer(str(raw / "vocab.json"), str(raw / "merges.txt"), model_max_length=77)
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(raw)
    SentenceTransformer(modules=[models.CLIPModel(str(raw))], device="cpu").save(str(folder))
    return folder


def make_text_folder(folder: Path, *, dims: int = DIMS, seed: int = 1) -> Path:
    """A multilingual text model of the architecture of clip-ViT-B-32-multilingual-v1 in `folder`."""
    torch.manual_seed(seed)
    raw = folder.with_name(folder.name + "-raw")
    raw.mkdir(parents=True)
    characters = [chr(code) for code in (*range(33, 127), *range(0xC0, 0x180), *range(0x400, 0x460), 0x4E00, 0x732B)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *("##" + letter for letter in characters)]
    (raw / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    config = DistilBertConfig(vocab_size=len(vocabulary), dim=48, n_layers=2, n_heads=4, hidden_dim=64)
    DistilBertModel(config).save_pretrained(raw)
    DistilBertTokenizer(str(raw / "vocab.txt"), do_lower_case=False, model_max_length=512).save_pretrained(raw)
    transformer = models.Transformer(str(raw), max_seq_length=128)
    modules = [
        transformer,
        models.Pooling(48, pooling_mode="mean"),
        models.Dense(48, dims, bias=False, activation_function=torch.nn.Identity()),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder
