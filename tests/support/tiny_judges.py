"""Random models that read long prompts, made from a configuration; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from tests.support.tiny_models import byte_tokenizer

CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def tokenizer(chat: str | None = CHAT) -> PreTrainedTokenizerFast:
    """One token for each byte, three special ones, and a chat template."""
    made = byte_tokenizer(pad="<pad>", eos="</s>")
    made.chat_template = chat
    return made


def configuration(**changes: Any) -> LlamaConfig:
    settings: dict[str, Any] = {
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


def write_judge(folder: Path, *, seed: int = 0, chat: str | None = CHAT, **changes: Any) -> str:
    """A causal language model whose replies are nonsense."""
    torch.manual_seed(seed)
    LlamaForCausalLM(configuration(**changes)).save_pretrained(folder)
    tokenizer(chat).save_pretrained(folder)
    return str(folder)


def write_reward_model(folder: Path, *, seed: int = 0, chat: str | None = CHAT, **changes: Any) -> str:
    """A sequence-classification model with one label."""
    torch.manual_seed(seed)
    settings = {"num_labels": 1, **changes}
    LlamaForSequenceClassification(configuration(**settings)).save_pretrained(folder)
    tokenizer(chat).save_pretrained(folder)
    return str(folder)


def overflow(folder: str) -> str:
    """Make weights of a model so large that what it computes is no number. The weights themselves are."""
    scores = "SequenceClassification" in (Path(folder) / "config.json").read_text()
    made: Any = LlamaForSequenceClassification if scores else LlamaForCausalLM
    model = made.from_pretrained(folder)
    with torch.no_grad():
        for weight in (model.model.layers[1].mlp.up_proj.weight, model.model.layers[1].mlp.down_proj.weight):
            weight.mul_(1e37)
    model.save_pretrained(folder)
    return folder
