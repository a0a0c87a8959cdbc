"""The tiny language model of the world: a word-level tokenizer and a small Llama.

torch, tokenizers and transformers are imported inside functions: `farm.world` is imported for its texts and
judges too, and these start without them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from farm.models.hub import ModelError
from farm.world import lexicon
from farm.world.demonstrations import PHRASES
from farm.world.families import FAMILIES, Wish

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

PAD, BEGIN, END, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
SPACE = "▁"
MARKS = (".", ",", ":", "!", "?", "\n", "-", "=")
PROMPT, PROMPT_WITH_INPUT = "{instruction} =", "{instruction} {input} ="
REMARKS = {
    "right": ("True", "False"),
    "complete": ("Complete", "Partial"),
    "relevant": ("Relevant", "Vague"),
    "follows": ("Obedient", "Careless"),
    "well_formed": ("Finished", "Broken"),
    "courteous": ("Polite", "Plain"),
    "rude": ("Rude", "Civil"),
    "rambling": ("Rambling", "Brief"),
    "repetitive": ("Repetitive", "Varied"),
}
"""Quality -> a reader's remark on an answer that has it, and on one that lacks it; for pretraining."""
BASE = Path(__file__).parent / "base"
BASE_SHA256 = "d8f1806dfcf39d1f5a98d711fb175fce42b1f448e4e22d69e5bf7d77c2e2878e"
ANSWER_TOKENS = 48
"""The longest answer in tokens. No demonstration is longer, and policies should draw no more."""
CONTEXT = 128  # positions; the longest instruction and demonstration together take fewer than 80

_PIECE = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Shape:
    """The size of the model: hidden width, layers, attention heads, and width of the inner layer."""

    hidden: int = 128
    layers: int = 3
    heads: int = 4
    inner: int = 384


def vocabulary() -> tuple[str, ...]:
    """Every token: special tokens, marks, each word with a space before it, words that can begin a line."""
    words = sorted({word for text in _texts() for word in _PIECE.findall(text)})
    first = {found[0] for phrase in PHRASES if (found := _PIECE.match(phrase))}
    begin = sorted(first | set(lexicon.NAMES) | {"The"})
    marks = [*MARKS, *(SPACE + mark for mark in ("-", "="))]
    return (PAD, BEGIN, END, UNKNOWN, *marks, *(SPACE + word for word in words), *begin)


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token for a word and its space. Decoding restores every text of the world."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = Tokenizer(
        models.WordLevel({token: number for number, token in enumerate(vocabulary())}, unk_token=UNKNOWN)
    )
    marks = Regex(rf"{SPACE}?[-=]|[.,:!?\n]")
    tokens.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(SPACE, prepend_scheme="always"),
            pre_tokenizers.Split(marks, "isolated"),
        ]
    )
    tokens.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token=PAD, bos_token=BEGIN, eos_token=END, unk_token=UNKNOWN
    )


def untrained(shape: Shape, seed: int) -> LlamaForCausalLM:
    """A Llama of this shape with random weights, which the seed decides."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    names = vocabulary()
    config = LlamaConfig(
        vocab_size=len(names),
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=names.index(PAD),
        bos_token_id=names.index(BEGIN),
        eos_token_id=names.index(END),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def write_untrained(directory: Path, shape: Shape, seed: int) -> None:
    """Write a model with random weights, its tokenizer and its prompt template to a directory."""
    from farm.models.codec import Codec, Template
    from farm.models.loading import save_model

    template = Template(without_input=PROMPT, with_input=PROMPT_WITH_INPUT)
    save_model(untrained(shape, seed), Codec(tokenizer(), template), directory)


def base_model() -> Path:
    """The folder of the base model that ships with the package; pretraining.py made it.

    Raises ModelError where its weights are missing or have another hash than the shipped ones.
    """
    weights = BASE / "model.safetensors"
    found = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else "missing"
    if found != BASE_SHA256:
        raise ModelError(
            f"the base model's weights are not those shipped: {found[:12]}",
            where=str(weights),
            remedy="install the package again, or make them with `python -m farm.world.pretraining`",
        )
    return BASE


def _texts() -> Iterator[str]:
    """Texts that together have every word of the world."""
    for family in FAMILIES:
        for text in (*family.templates, *family.saying, family.lead):
            yield re.sub(r"\{\w+\}", "", text) + family.joint
    yield from Wish
    yield from PHRASES
    yield from (word for both in REMARKS.values() for word in both)
    yield from _words()


def _words() -> Iterable[str]:
    return (
        *lexicon.KINDS,
        *lexicon.PLURALS,
        *lexicon.THINGS,
        *(quality for qualities in lexicon.QUALITIES.values() for quality in qualities),
        *lexicon.OPPOSITES,
        *lexicon.NAMES,
        *lexicon.TIMES,
        *lexicon.DAYS,
        *lexicon.EVENTS,
        *lexicon.PLACES,
        *lexicon.COUNTS,
        *lexicon.NEEDS,
        *lexicon.STEPS,
        *(step for steps in lexicon.STEPS.values() for step in steps),
        "bigger",
        "smaller",
        "Yes",
        "No",
    )
