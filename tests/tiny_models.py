"""Tiny CLIP, DistilBERT and XLM-RoBERTa folders with random weights, in the layouts of real ones.

The real loading code runs on them, but their hits mean nothing. Only the texts of `make_aligned_text_folder` find their
photos: the sample photos, for which it was made.

The libraries are imported inside the functions, so a test that makes no model does not wait for them.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from image_embeddings.sources.samples import captioned_photos

if TYPE_CHECKING:
    from transformers import XLMRobertaConfig, XLMRobertaTokenizerFast

DIMS = 32
# Characters of the scripts that tests search in: ASCII, Latin with accents, Greek, Cyrillic, Hebrew, Arabic,
# Devanagari, Thai, kana; then some of the scripts with too many characters.
_RANGES = ((33, 127), (0xC0, 0x180), (0x370, 0x400), (0x400, 0x460), (0x5D0, 0x5EB), (0x620, 0x653))
_MORE_RANGES = ((0x900, 0x970), (0xE01, 0xE5C), (0x3041, 0x3100))
_SINGLE = "一中猫犬狗雪上的照片海辺写真눈속의개사진바다고양이🐕🐈❄️🏔🌊📷"
XLM_ROBERTA = "tiny-xlm-roberta"  # the transformer that tiny M-CLIP models are built upon
POSITIONS = 130  # two of them are RoBERTa's own


def make_clip_folder(folder: Path, *, dims: int = DIMS, seed: int = 0) -> Path:
    """Make a CLIP image and text model of `dims` dims in `folder`."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

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
        projection_dim=dims,
    )
    CLIPModel(config).save_pretrained(raw)
    tokenizer = CLIPTokenizer(str(raw / "vocab.json"), str(raw / "merges.txt"), model_max_length=77)
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(raw)
    SentenceTransformer(modules=[models.CLIPModel(str(raw))], device="cpu").save(str(folder))
    return folder


def make_text_folder(
    folder: Path,
    *,
    dims: int = DIMS,
    hidden: int = 48,
    layers: int = 2,
    heads: int = 4,
    feed_forward: int = 64,
    vocabulary_size: int = 0,
    seed: int = 1,
) -> Path:
    """Make a multilingual text model of the architecture of clip-ViT-B-32-multilingual-v1 in `folder`.

    Its vocabulary has a few thousand characters; the rest are unused tokens.
    """
    import torch
    from sentence_transformers import SentenceTransformer, models
    from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizer

    torch.manual_seed(seed)
    raw = folder.with_name(folder.name + "-raw")
    raw.mkdir(parents=True)
    characters = [chr(code) for start, stop in (*_RANGES, *_MORE_RANGES) for code in range(start, stop)]
    characters += sorted(set(_SINGLE))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *("##" + letter for letter in characters)]
    vocabulary += [f"[unused{number}]" for number in range(vocabulary_size - len(vocabulary))]
    (raw / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    config = DistilBertConfig(
        vocab_size=len(vocabulary), dim=hidden, n_layers=layers, n_heads=heads, hidden_dim=feed_forward
    )
    DistilBertModel(config).save_pretrained(raw)
    DistilBertTokenizer(str(raw / "vocab.txt"), do_lower_case=False, model_max_length=512).save_pretrained(raw)
    transformer = models.Transformer(str(raw), max_seq_length=128)
    modules = [
        transformer,
        models.Pooling(hidden, pooling_mode="mean"),
        models.Dense(hidden, dims, bias=False, activation_function=torch.nn.Identity()),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def make_pair(folder: Path) -> tuple[Path, Path]:
    """Make tiny models with the names and the 512 dims of the real ones: CLIP and its multilingual text model."""
    return (
        make_clip_folder(folder / "clip-ViT-B-32", dims=512),
        make_text_folder(
            folder / "clip-ViT-B-32-multilingual-v1", dims=512, hidden=768, layers=1, heads=12, feed_forward=64
        ),
    )


def make_aligned_text_folder(folder: Path, *, clip: Path) -> Path:
    """Make a text model in the space of the CLIP model in `clip`, for the sample photos and their English captions.

    Its last layer is solved by least squares, so that these captions get the embeddings of their photos. Other texts
    get embeddings without a meaning.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(make_text_folder(folder)), device="cpu")
    photos, captions = zip(*((photo, captions["en"]) for photo, captions in captioned_photos()), strict=True)
    wanted = SentenceTransformer(str(clip), device="cpu").encode(list(photos), normalize_embeddings=True)
    states = SentenceTransformer(modules=[model[0], model[1]], device="cpu").encode(list(captions))
    solved, *_ = np.linalg.lstsq(states.astype(np.float64), wanted.astype(np.float64))
    model[2].linear.weight.data = torch.tensor(solved.T, dtype=torch.float32)
    model.save(str(folder))
    return folder


def make_mclip_folder(folder: Path, *, dims: int = DIMS, seed: int = 2, safe: bool = False) -> Path:
    """Make an M-CLIP model in its published layout; the config of its transformer goes into a folder beside it."""
    import torch
    from safetensors.torch import save_file
    from transformers import XLMRobertaModel

    torch.manual_seed(seed)
    transformer = XLMRobertaModel(_xlm_roberta_config())
    linear = torch.nn.Linear(transformer.config.hidden_size, dims)
    weights = {f"transformer.{name}": tensor for name, tensor in transformer.state_dict().items()}
    weights |= {f"LinearTransformation.{name}": tensor for name, tensor in linear.state_dict().items()}
    folder.mkdir(parents=True)
    if safe:
        save_file(weights, folder / "model.safetensors")
    else:
        weights["transformer.embeddings.position_ids"] = torch.arange(POSITIONS)[None]  # as libraries of 2022 did
        torch.save(weights, folder / "pytorch_model.bin")
    _xlm_roberta_tokenizer().save_pretrained(folder)
    config = {"model_type": "M-CLIP", "modelBase": XLM_ROBERTA, "transformerDimensions": 48, "numDims": dims}
    (folder / "config.json").write_text(json.dumps(config))
    transformer.config.save_pretrained(folder.with_name(XLM_ROBERTA))
    return folder


def make_xlm_roberta_text_folder(folder: Path, *, seed: int = 3) -> Path:
    """Make a model of M-CLIP's parts (XLM-RoBERTa, mean, linear layer), in the layout of sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from transformers import XLMRobertaModel

    torch.manual_seed(seed)
    raw = folder.with_name(folder.name + "-raw")
    XLMRobertaModel(_xlm_roberta_config()).save_pretrained(raw)
    _xlm_roberta_tokenizer().save_pretrained(raw)
    modules = [
        models.Transformer(str(raw), max_seq_length=POSITIONS - 2),
        models.Pooling(48, pooling_mode="mean"),
        models.Dense(48, DIMS, activation_function=torch.nn.Identity()),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    shutil.rmtree(raw)
    return folder


def _xlm_roberta_config() -> XLMRobertaConfig:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=len(_pieces()) + 1,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        type_vocab_size=1,
    )


def _pieces() -> list[str]:
    letters = [chr(code) for code in (*range(33, 127), *range(0xC0, 0x180), *range(0x400, 0x460), 0x4E00, 0x732B)]
    return ["<s>", "<pad>", "</s>", "<unk>", "▁", *letters, "▁do", "▁a", "at"]


def _xlm_roberta_tokenizer() -> XLMRobertaTokenizerFast:
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import Unigram
    from transformers import XLMRobertaTokenizerFast

    tokenizer = Tokenizer(Unigram([(piece, -float(len(piece) == 1)) for piece in _pieces()], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.tiny_models", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the two models go")
    for made in make_pair(parser.parse_args().folder):
        shutil.rmtree(made.with_name(made.name + "-raw"))
        print(made)
