"""Seconds a judgement of a judge in this process, with what its prompts share run once and run for each.

    python benchmarks/local_judge.py [--out benchmarks/results/local_judge.json]

The model is a made-up Llama in the shape of SmolLM2-135M: 30 layers, hidden size 576, vocabulary 49,152. The
prompts are made up too: 8 of 440 tokens of which the first 158 are the same, as with the log-probability
judge of the catalogue on real pairs. Times are CPU seconds of one thread, the best of three rounds in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from farm.config import ModelConfig
from farm.judging.language_model import CausalModel

VOCABULARY, ROWS, LENGTH, SHARED, ROUNDS = 49_152, 8, 440, 158, 3


def write_model(folder: Path) -> None:
    """A model of random weights, with a tokenizer of as many words."""
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True, max_position_embeddings=8192,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "A": 3, "B": 4} | {f"w{i}": i for i in range(5, VOCABULARY)}
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<pad>")),
        pad_token="<pad>", bos_token="<s>", eos_token="</s>",
    )  # fmt: skip
    made.save_pretrained(folder)


def timed(call: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """CPU seconds of a call, and what it gives."""
    begun = time.process_time()
    found = call()
    return time.process_time() - begun, found


def measured(folder: Path) -> dict[str, float]:
    """The best seconds a judgement of both ways, and how far their log-probabilities are apart."""
    write_model(folder)
    model = CausalModel(str(folder), frozenset({"a", "b"}), ModelConfig())
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(5, VOCABULARY, (ROWS, LENGTH), generator=generator)
    drawn[:, :SHARED] = drawn[0, :SHARED]
    prompts: list[list[int]] = drawn.tolist()

    def apart() -> Tensor:
        rows = model._batch(prompts, 1, wants_logprobs=True)
        return torch.stack([row.logprobs[0] for row in rows if row.logprobs is not None])

    def together() -> Tensor:
        return model._next_logits(prompts).float().log_softmax(-1)

    rounds = [(timed(apart), timed(together)) for _ in range(ROUNDS)]
    return {
        "apart_seconds": min(each[0] for each, _ in rounds) / ROWS,
        "together_seconds": min(each[0] for _, each in rounds) / ROWS,
        "largest_difference": float((rounds[0][0][1] - rounds[0][1][1]).abs().max()),
    }


def main() -> None:
    """Measure, print, and write where asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--out", type=Path, help="the JSON file to write")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder))
    text = json.dumps({"rows": ROWS, "tokens": LENGTH, "shared": SHARED, **found}, indent=1)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
