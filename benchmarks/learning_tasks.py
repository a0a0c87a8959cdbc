"""What the tasks of learning.py have in common. Needs torch and transformers alone.

A task is a folder. It has rows of each kind as JSON Lines, learnt from and held out; `base`, the model that
methods start from and are held to; and `task.json`, which names the task.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

Rows = list[dict[str, Any]]
TASKS = {"chain": "benchmarks.learning_task", "world": "benchmarks.learning_world"}
"""The module of each task. It has `make`, which writes the folder unless it is there, and TASK."""


@dataclass(frozen=True)
class Task:
    """How a task's texts are read, and what they are worth."""

    tokenizer: Callable[[], Any]  # a fast one of transformers, made once
    response: int  # tokens of a response at most, the end among them
    reward: Callable[[str, str], float]  # the true reward of (prompt, response)
    noisy: tuple[str, ...] | None = None  # methods that learn from the noisy labels; None: all

    def learns_from_noise(self, method: str) -> bool:
        """Whether a method learns from the noisy labels."""
        return self.noisy is None or method in self.noisy

    @torch.no_grad()
    def drawn(self, model: Any, prompts: Sequence[str], seed: int) -> list[list[int]]:
        """One response to each prompt, as tokens with the end where there is one. A function of the seed."""
        torch.manual_seed(seed)
        reader = self.tokenizer()
        end = reader.eos_token_id
        asked = reader(list(prompts), padding=True, padding_side="left", return_tensors="pt")
        ids, mask = asked["input_ids"], asked["attention_mask"]
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=self.response,
            pad_token_id=reader.pad_token_id,
            eos_token_id=end,
        )
        rows = [row[ids.shape[1] :].tolist() for row in made]
        return [row[: row.index(end) + 1] if end in row else row for row in rows]

    def said(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special tokens."""
        reader = self.tokenizer()
        return str(reader.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def task_of(folder: Path) -> Task:
    """The task of a folder."""
    found: Task = import_module(TASKS[json.loads((folder / "task.json").read_text())["task"]]).TASK
    return found


def write(folder: Path, parts: Mapping[str, Rows]) -> None:
    """Write the rows of each part of a task."""
    for name, rows in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(folder: Path, name: str) -> Rows:
    """The rows of a part of the task."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def learnt_pairs(folder: Path, method: str) -> list[tuple[str, str, str]]:
    """The pairs that a method learns from: prompt, preferred and other response."""
    noisy = task_of(folder).learns_from_noise(method)
    return [
        (row["prompt"], row["worse"], row["better"])
        if noisy and row["flipped"]
        else (row["prompt"], row["better"], row["worse"])
        for row in read(folder, "pairs")
    ]


def start(folder: Path, kind: str, seed: int) -> Path:
    """The folder of the model that a run begins with; random weights and heads are made of the seed.

    kind: base; untaught, which the world has; random, which the chain has; or scorer, the base model with a
    scalar head.
    """
    if kind in ("base", "untaught"):
        return folder / kind
    where = folder / f"{kind}-{seed}"
    if not (where / "config.json").exists():
        if kind == "random":
            import_module(TASKS["chain"]).random_start(where, seed)
        else:
            _write_scorer(folder, where, seed)
    return where


def _write_scorer(folder: Path, where: Path, seed: int) -> None:
    """Write the base model with a head drawn from N(0, 1 / (hidden + 1))."""
    model = AutoModelForSequenceClassification.from_pretrained(folder / "base", num_labels=1)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(model.score.weight.shape, generator=generator)
        model.score.weight.copy_(noise / (model.config.hidden_size + 1) ** 0.5)
    model.save_pretrained(where)
    task_of(folder).tokenizer().save_pretrained(where)
