"""Random models that read long prompts, made from a configuration; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def tokenizer(chat: str | None = CHAT) -> PreTrainedTokenizerFast:
    """One token for each byte, and three special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    wrapped.chat_template = chat
    return wrapped


def configuration(**changes: object) -> LlamaConfig:
    settings: dict[str, object] = {
        "vocab_size": 259,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return LlamaConfig(**settings | changes)


def write_judge(folder: Path, *, seed: int = 0, chat: str | None = CHAT, **changes: object) -> str:
    """A causal language model whose replies are nonsense."""
    torch.manual_seed(seed)
    LlamaForCausalLM(configuration(**changes)).save_pretrained(folder)
    tokenizer(chat).save_pretrained(folder)
    return str(folder)


def write_reward_model(folder: Path, *, seed: int = 0, chat: str | None = CHAT, **changes: object) -> str:
    """A sequence-classification model with one label."""
    torch.manual_seed(seed)
    settings = {"num_labels": 1, **changes}
    LlamaForSequenceClassification(configuration(**settings)).save_pretrained(folder)
    tokenizer(chat).save_pretrained(folder)
    return str(folder)
