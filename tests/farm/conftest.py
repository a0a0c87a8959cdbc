"""Models small enough to train in a test, made from a configuration; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)

ModelMaker = Callable[..., Path]


def byte_tokenizer(*, pad: str | None, eos: str | None) -> PreTrainedTokenizerFast:
    """One token for each byte, and three special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token=eos, pad_token=pad)


def write_model(
    directory: Path,
    *,
    pad: str | None = "<pad>",
    eos: str | None = "</s>",
    seed: int = 0,
    end_bias: float = 0.0,
    hidden: int = 32,
    layers: int = 2,
) -> Path:
    """A random Llama with a byte tokenizer. end_bias: lets responses end sooner, or never."""
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer(pad=pad, eos=eos)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=1,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[2] += end_bias * model.lm_head.weight.abs().mean()
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """Writes a tiny model into a folder of its own; options as those of write_model."""
    return lambda **options: write_model(tmp_path_factory.mktemp("model"), **options)


@pytest.fixture(scope="session")
def model_dir(make_model: ModelMaker) -> str:
    """A tiny causal language model with distinct pad and end-of-sequence tokens."""
    return str(make_model())


@pytest.fixture(scope="session")
def pad_is_eos_dir(make_model: ModelMaker) -> str:
    """The same weights with a tokenizer that pads with the end of sequence."""
    return str(make_model(pad="</s>"))


@pytest.fixture(scope="session")
def scorer_dir(model_dir: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A reward model with a random head on the tiny model."""
    from farm.models.scorer import Scorer

    directory = tmp_path_factory.mktemp("scorer")
    Scorer.load(model_dir, seed=0, new_head=True).save(directory)
    return str(directory)
