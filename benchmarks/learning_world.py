"""The task `world` of learning.py: the embedded world's instructions, people and small model.

The true reward is the gold utility. Demonstrations are those of the world, and labels those of its simulated
people, one a pair. `untaught` is the base model that ships. `base` has learnt demonstrations from it, by a
loop of this file: methods start from it, and its draws are the pairs. Texts that both sides would not read as
the same tokens are left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.learning_measures import batch, ended
from benchmarks.learning_tasks import Rows, Task, write
from db.records import Output, Pair
from farm.world.build import Sizes, WorldSpec, splits
from farm.world.crowd import crowd, judges_of
from farm.world.demonstrations import demonstrate
from farm.world.families import WorldTask
from farm.world.gold import gold
from farm.world.language import ANSWER_TOKENS, BASE, PROMPT, PROMPT_WITH_INPUT, base_model

SEED = 0  # of the world, whose people and instructions it decides
SIZES = Sizes(sft=2_304, preference=1_600, unlabelled=800, validation=256, evaluation=1)
LEARN, HELD_OUT = 1_024, 256  # pairs; HELD_OUT demonstrations and prompts too
TAUGHT = 1_024  # demonstrations that `base` learns from; the others are for sft
STEPS, BATCH, RATE = 60, 32, 1e-3  # of its learning


def prompt_of(instruction: str, input: str) -> str:
    """The text of a prompt, as the world's models read it."""
    form = PROMPT_WITH_INPUT if input else PROMPT
    return form.format(instruction=instruction, input=input)


@cache
def tokenizer() -> Any:
    """The world's tokenizer: a token for a word with the space before it."""
    return AutoTokenizer.from_pretrained(BASE)


def true_reward(prompt: str, response: str) -> float:
    """The gold utility of a response."""
    return gold(*_asked()[prompt], response)


@cache
def _tasks() -> dict[str, list[WorldTask]]:
    return splits(WorldSpec(seed=SEED, sizes=SIZES))


@cache
def _asked() -> dict[str, tuple[str, str]]:
    """Instruction and input of every prompt."""
    asked = (task.instruction for tasks in _tasks().values() for task in tasks)
    return {prompt_of(each.text, each.input): (each.text, each.input) for each in asked}


TASK = Task(tokenizer, ANSWER_TOKENS, true_reward)


def prompts(split: str) -> list[str]:
    """The prompts of a split."""
    asked = (task.instruction for task in _tasks()[split])
    return [prompt_of(each.text, each.input) for each in asked]


def demonstrations() -> Rows:
    """The world's demonstrations."""
    shown = [demonstrate(task, str(SEED)) for task in _tasks()["sft"]]
    found = zip(prompts("sft"), shown, strict=True)
    return [{"prompt": prompt, "response": text} for prompt, text in found if is_clear(prompt, text)]


def is_clear(prompt: str, response: str) -> bool:
    """Whether prompt and response have the same tokens apart and together, and few enough."""
    reader = tokenizer()
    apart = [*reader(prompt)["input_ids"], *reader(response)["input_ids"]]
    together = reader(f"{prompt} {response}")["input_ids"]
    short = len(reader(response)["input_ids"]) < TASK.response
    return (
        bool(response)
        and apart == together
        and short
        and TASK.said(reader(response)["input_ids"]) == response
    )


def taught(rows: Rows) -> Any:
    """The base model that ships, after a pass of supervised learning."""
    model = AutoModelForCausalLM.from_pretrained(base_model(), dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        part = [rows[(step * BATCH + k) % len(rows)] for k in range(BATCH)]
        texts = ended(TASK, [row["response"] for row in part])
        ids, attention, mask = batch(TASK, [row["prompt"] for row in part], texts)
        labels = ids.masked_fill(~mask, -100)
        model(input_ids=ids, attention_mask=attention, labels=labels).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model


def pairs(model: Any, tasks: Sequence[WorldTask], count: int) -> Rows:
    """Two draws of the model to each instruction, of unequal worth, with one person's verdict.

    flipped: the person prefers the worse one.
    """
    people, found = crowd(SEED), []
    asked = [prompt_of(task.instruction.text, task.instruction.input) for task in tasks]
    first, second = ([TASK.said(ids) for ids in TASK.drawn(model, asked, seed)] for seed in (1, 2))
    for task, prompt, *both in zip(tasks, asked, first, second, strict=True):
        worse, better = sorted(both, key=lambda text: true_reward(prompt, text))
        if true_reward(prompt, better) == true_reward(prompt, worse):
            continue
        if not all(is_clear(prompt, text) for text in both):
            continue
        made, turned = Pair.of(Output(task.instruction, better), Output(task.instruction, worse))
        [person] = judges_of(made, people, 1)
        flipped = (person.judge(made).preference == 1.0) == turned
        found.append({"prompt": prompt, "better": better, "worse": worse, "flipped": flipped})
    if len(found) < count:
        raise RuntimeError(f"{len(found)} pairs of unequal worth, where {count} are wanted")
    return found[:count]


def make(folder: Path) -> None:
    """Write the task, unless it is there."""
    if (folder / "task.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shown = demonstrations()
    torch.manual_seed(SEED)
    model = taught(shown[:TAUGHT]).eval()
    untaught = AutoModelForCausalLM.from_pretrained(base_model(), dtype=torch.float32)
    for name, which in (("base", model), ("untaught", untaught)):
        which.save_pretrained(folder / name)
        tokenizer().save_pretrained(folder / name)
    judged = pairs(model, _tasks()["preference"], LEARN + HELD_OUT)
    write(
        folder,
        {
            "demonstrations": shown[TAUGHT:-HELD_OUT],
            "demonstrations_held_out": shown[-HELD_OUT:],
            "prompts": [{"prompt": prompt} for prompt in prompts("unlabelled")],
            "prompts_held_out": [{"prompt": prompt} for prompt in prompts("validation")],
            "pairs": judged[:LEARN],
            "pairs_held_out": judged[LEARN:],
        },
    )
    flipped = sum(bool(row["flipped"]) for row in judged) / len(judged)
    (folder / "task.json").write_text(json.dumps({"task": "world", "flipped": flipped}) + "\n")
