"""Pretrains the base model that ships with the package: `python -m farm.world.pretraining DIRECTORY`.

The training texts are instructions with answers of noisy demonstrators. After each answer stands a reader's
remark on one of its qualities. The model thus learns the language, copying, some facts, and which qualities
an answer has, but not which qualities people want. The instructions are of the split `base`, which shares
none with the other splits.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy

from farm.models.codec import Codec, Template
from farm.models.loading import save_model
from farm.models.tokens import Prompt
from farm.world.answers import Features, features
from farm.world.build import split_of
from farm.world.demonstrations import demonstrate
from farm.world.families import draw
from farm.world.language import PROMPT, PROMPT_WITH_INPUT, REMARKS, Shape, tokenizer, untrained

NOTICED = Features(
    right=4, complete=2, relevant=2, follows=2, well_formed=1, courteous=1, rude=1, rambling=1, repetitive=1
)
"""Relative frequency of remarks on each quality."""
WINDOW = 16  # number of batches whose rows are sorted by length together


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """The settings with which the base model was made."""

    shape: Shape = field(default_factory=Shape)
    steps: int = 8_000
    batch: int = 64
    learning_rate: float = 3e-3
    warmup: int = 200
    seed: int = 0


class Text(NamedTuple):
    """A text as tokens."""

    ids: list[int]
    start: int  # index of the first token of the answer; tokens before it have no loss


def texts(codec: Codec, seed: int) -> Iterator[Text]:
    """Stream texts of instruction, answer and remark, without end."""
    number = 0
    while True:
        number += 1
        key = f"base/{seed}/{number}"
        task = draw(key)
        asked = task.instruction
        if split_of(asked) != "base":
            continue
        answer = demonstrate(task, key)
        row = codec.row(Prompt.of(asked), answer)
        remark = _remark(features(asked.text, asked.input, answer), random.Random(key))
        said = codec.response_ids(remark)
        yield Text([*row.prompt, *row.response, *said], len(row.prompt))


def pretrain(plan: Pretraining, directory: Path, every: int = 100) -> None:
    """Train a new model and write it with tokenizer and template to a directory.

    every: print the mean loss after each so many steps.
    """
    codec = Codec(tokenizer(), Template(without_input=PROMPT, with_input=PROMPT_WITH_INPUT))
    model = untrained(plan.shape, plan.seed).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.learning_rate, plan.steps, pct_start=plan.warmup / plan.steps, cycle_momentum=False
    )
    began, total = time.monotonic(), 0.0
    for step, batch in zip(range(1, plan.steps + 1), _batches(texts(codec, plan.seed), plan), strict=False):
        width = max(len(text.ids) for text in batch)
        ids = torch.tensor([text.ids + [codec.pad_id] * (width - len(text.ids)) for text in batch])
        targets = ids.clone()
        for row, text in enumerate(batch):
            targets[row, : text.start] = targets[row, len(text.ids) :] = -100
        logits = model(input_ids=ids).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % every == 0:
            print(f"step {step}  loss {total / every:.4f}  {time.monotonic() - began:.0f} s", flush=True)
            total = 0.0
    save_model(model.eval(), codec, directory)


def _remark(qualities: Features, chance: random.Random) -> str:
    """A remark on one quality, drawn by NOTICED. The quality's value is the chance of the better word."""
    [name] = chance.choices(Features._fields, NOTICED)
    good, bad = REMARKS[name]
    return good if chance.random() < getattr(qualities, name) else bad


def _batches(source: Iterator[Text], plan: Pretraining) -> Iterator[list[Text]]:
    """Batches of texts of similar length, in an order drawn by the seed."""
    chance = random.Random(plan.seed)
    while True:
        rows = sorted((next(source) for _ in range(plan.batch * WINDOW)), key=lambda text: len(text.ids))
        batches = [rows[at : at + plan.batch] for at in range(0, len(rows), plan.batch)]
        chance.shuffle(batches)
        yield from batches


if __name__ == "__main__":
    torch.set_num_threads(1)
    pretrain(Pretraining(), Path(sys.argv[1]))
