"""Random models small enough to train in a test, made from a configuration. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

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
    vocabulary: int | None = None,
    context: int = 256,
) -> Path:
    """A random Llama with a byte tokenizer. end_bias: lets responses end sooner, or never.

    vocabulary: tokens that the model knows; None: those of the tokenizer. context: tokens of a row at most.
    """
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer(pad=pad, eos=eos)
    config = LlamaConfig(
        vocab_size=vocabulary or len(tokenizer),
        hidden_size=hidden,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
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
