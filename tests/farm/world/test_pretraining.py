"""The making of the base model: what it reads, and that a few steps teach it something."""

from __future__ import annotations

import re
from itertools import count, islice
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from farm.models.codec import Codec, Template
from farm.world.answers import features
from farm.world.build import split_of
from farm.world.families import draw
from farm.world.language import PROMPT, PROMPT_WITH_INPUT, REMARKS, Shape, tokenizer
from farm.world.pretraining import Pretraining, pretrain, texts

CODEC = Codec(tokenizer(), Template(without_input=PROMPT, with_input=PROMPT_WITH_INPUT))


def test_it_reads_instructions_of_no_other_set_with_true_remarks() -> None:
    remarks = {word: (name, good) for name, both in REMARKS.items() for good, word in enumerate(both[::-1])}
    drawn = (draw(f"base/0/{number}") for number in count(1))
    tasks = (task for task in drawn if split_of(task.instruction) == "base")
    for text, task in zip(islice(texts(CODEC, seed=0), 300), tasks, strict=False):
        asked = task.instruction
        assert CODEC.text(text.ids[: text.start]) == f"{asked.text} {asked.input}".strip() + " ="
        answer, remark = (CODEC.text(part) for part in split_at(text.ids[text.start : -1], CODEC.eos_id))
        name, good = remarks[remark]
        value = getattr(features(asked.text, asked.input, answer), name)
        assert value > 0 if good else value < 1


def split_at(ids: list[int], end: int) -> tuple[list[int], list[int]]:
    place = ids.index(end)
    return ids[:place], ids[place + 1 :]


def test_a_few_steps_teach_it_something(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Pretraining(shape=Shape(16, 1, 2, 32), steps=30, batch=16, learning_rate=1e-2, warmup=5)
    pretrain(plan, tmp_path / "base", every=10)
    losses = [float(each) for each in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert len(losses) == 3
    assert losses[-1] < losses[0] - 0.5
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "base").config.hidden_size == 16
