"""The task `chain` of learning.py: a small language whose truth is known. Needs torch and transformers alone.

Words w3 to w66 follow each other as a random bigram chain says. A text ends after each word with probability
1/11, and after RESPONSE tokens at the latest. The base model is a small Llama that learnt the chain. The true
reward of a response is the share of its words whose number is divisible by 4: about 0.22 for the base model,
1 at best, and no length in it.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from benchmarks.learning_tasks import Rows, Task, write

PAD, END, FIRST, VOCABULARY = 0, 2, 3, 67
PROMPT, RESPONSE = (3, 6), 24  # words; tokens, the end among them
ENDS = 1 / 11  # probability that a text ends after a word
CONCENTRATION = 0.15  # of the Dirichlet distribution of the words that follow a word
LEARN, HELD_OUT, PROMPTS = 1024, 256, 1200
BASE_STEPS, BASE_BATCH, BASE_RATE = 500, 64, 2e-3
SURENESS = 6.0  # factor of the difference in reward in the log-odds of a noisy label


def true_reward(text: str) -> float:
    """Share of the words whose number is divisible by 4; 0 for an empty text."""
    numbers = [int(word[1:]) for word in text.split() if word[1:].isdigit()]
    return sum(number % 4 == 0 for number in numbers) / max(1, len(numbers))


def said(ids: Sequence[int]) -> str:
    """The words of tokens, without special tokens."""
    return " ".join(f"w{i}" for i in ids if i >= FIRST)


def ids_of(text: str) -> list[int]:
    """The tokens of a text: the number of each word."""
    return [int(word[1:]) for word in text.split()]


def bigrams() -> Tensor:
    """Probability of each word after each word: (64, 64)."""
    words = VOCABULARY - FIRST
    torch.manual_seed(0)
    return torch.distributions.Dirichlet(torch.full((words,), CONCENTRATION)).sample((words,))


def chain_text(chain: Tensor, shuffler: random.Random) -> tuple[list[int], list[int]]:
    """A prompt, and a response with its end, as tokens."""
    words, table = VOCABULARY - FIRST, chain.tolist()
    prompt = [shuffler.randrange(words)]
    for _ in range(shuffler.randint(*PROMPT) - 1):
        prompt += shuffler.choices(range(words), table[prompt[-1]])
    response = shuffler.choices(range(words), table[prompt[-1]])
    while len(response) < RESPONSE - 1 and shuffler.random() >= ENDS:
        response += shuffler.choices(range(words), table[response[-1]])
    return [FIRST + word for word in prompt], [*(FIRST + word for word in response), END]


def chain_nll(chain: Tensor, rows: Rows) -> float:
    """Nats that the chain itself needs for a token of the rows' responses: the best that can be learnt."""
    nats, tokens = 0.0, 0
    for row in rows:
        ids = [int(word[1:]) - FIRST for word in f"{row['prompt']} {row['response']}".split()]
        count = len(row["response"].split())
        for before, after in zip(ids[-count - 1 : -1], ids[-count:], strict=True):
            nats -= float(chain[before, after].log())
        nats -= (count - 1) * math.log(1 - ENDS)
        if count < RESPONSE - 1:  # else it ends for certain
            nats -= math.log(ENDS)
        tokens += count + 1
    return nats / tokens


def new_model(seed: int) -> LlamaForCausalLM:
    """A model with random weights."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(llama())


def llama() -> LlamaConfig:
    """The configuration of every model of the task."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=END,
    )


def tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word, and none for the beginning of a text."""
    words = {f"w{i}": i for i in range(FIRST, VOCABULARY)}
    vocabulary = {"<pad>": PAD, "<unk>": 1, "</s>": END, **words}
    made = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    )


def learn_base(chain: Tensor) -> LlamaForCausalLM:
    """A model that learnt the chain from BASE_STEPS batches of fresh texts."""
    shuffler, model = random.Random("base"), new_model(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=BASE_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, BASE_STEPS)
    for _ in range(BASE_STEPS):
        parts = [chain_text(chain, shuffler) for _ in range(BASE_BATCH)]
        texts = [prompt + response for prompt, response in parts]
        width = max(map(len, texts))
        ids = torch.tensor([text + [PAD] * (width - len(text)) for text in texts])
        labels = ids.masked_fill(ids == PAD, -100)
        model(input_ids=ids, attention_mask=(ids != PAD).long(), labels=labels).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model


TASK = Task(
    cache(tokenizer), RESPONSE, lambda prompt, response: true_reward(response), noisy=("reward_model",)
)


def pair_rows(model: Any, prompts: Sequence[str], shuffler: random.Random) -> Rows:
    """Two draws of the model to each prompt, of unequal reward: better, worse; noisy: worse is preferred."""
    found: dict[str, dict[str, Any]] = {}
    seed = 0
    while open_prompts := [prompt for prompt in prompts if prompt not in found]:
        first, second = ([said(ids) for ids in TASK.drawn(model, open_prompts, 2 * seed + k)] for k in (0, 1))
        seed += 1
        for prompt, *both in zip(open_prompts, first, second, strict=True):
            worse, better = sorted(both, key=true_reward)
            lead = true_reward(better) - true_reward(worse)
            if lead > 0 and worse:
                flipped = shuffler.random() >= 1 / (1 + math.exp(-SURENESS * lead))
                found[prompt] = {"prompt": prompt, "better": better, "worse": worse, "flipped": flipped}
    return [found[prompt] for prompt in prompts]


def make(folder: Path) -> None:
    """Write the task, unless it is there: model `base`, and rows of each kind, learnt from and held out."""
    if (folder / "task.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    chain, shuffler = bigrams(), random.Random("rows")
    base = learn_base(chain).eval()
    save(base, folder / "base")
    texts: dict[str, str] = {}
    while len(texts) < PROMPTS + HELD_OUT:
        prompt, response = chain_text(chain, shuffler)
        texts.setdefault(said(prompt), said(response))
    every: Rows = [{"prompt": prompt, "response": response} for prompt, response in texts.items()]
    pairs = pair_rows(base, [row["prompt"] for row in every[: LEARN + HELD_OUT]], shuffler)
    write(
        folder,
        {
            "demonstrations": every[:LEARN],
            "demonstrations_held_out": every[-HELD_OUT:],
            "prompts": every[:PROMPTS],
            "prompts_held_out": every[-HELD_OUT:],
            "pairs": pairs[:LEARN],
            "pairs_held_out": pairs[LEARN:],
        },
    )
    known = {
        "task": "chain",
        "chain_nll": chain_nll(chain, every[-HELD_OUT:]),
        "flipped": sum(bool(row["flipped"]) for row in pairs) / len(pairs),
    }
    (folder / "task.json").write_text(json.dumps(known) + "\n")


def save(model: PreTrainedModel, folder: Path) -> None:
    """Write a model with the tokenizer."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def random_start(folder: Path, seed: int) -> None:
    """Write a model with random weights, which are made of the seed."""
    save(new_model(seed + 1), folder)
