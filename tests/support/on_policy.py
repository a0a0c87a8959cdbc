"""Methods that learn from the responses of their own policy, made and trained in a few words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from farm.methods import load
from farm.models.tokens import Prompt
from farm.training.data import Data
from farm.training.loop import fit
from farm.training.method import Method
from farm.training.rows import parts, take, widths
from farm.training.run_models import LoadedModels

VECTORS = Path(__file__).parents[1] / "golden" / "vectors"
PROMPTS = [Prompt(f"say {'so ' * (i % 3)}{i}") for i in range(8)]
SHORT = {"max_new_tokens": 8, "batch_size": 8, "n": 4, "log_every": 1, "rollout_epochs": 1, "minibatches": 1}

MethodMaker = Callable[..., Any]
"""The fixture `made`: a method by its name and options."""


class Run(NamedTuple):
    """A finished training run."""

    method: Method[Any]
    log: list[dict[str, float]]  # of each step

    def mean(self, metric: str, steps: slice) -> float:
        values = [line[metric] for line in self.log if metric in line][steps]
        return sum(values) / len(values)


MethodTrainer = Callable[..., Run]
"""The fixture `trained`: a finished run by the method's name and options."""


class NoCheckpoints:
    latest = "nowhere"

    def restore(self, *_: object) -> int:
        return 0

    def due(self, _: int) -> bool:
        return False

    def save(self, *_: object) -> None:
        pass


def letters(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    """How many characters of a response are lower-case letters: a reward that is quickly learnt."""
    return torch.tensor([float(sum(c.islower() for c in text)) for text in responses])


def vectors(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return cases


def padded(rows: Sequence[Sequence[float]], left: int = 0, right: int = 0) -> torch.Tensor:
    """Rows of numbers as (B, T), with NaN around them: padding must not reach a result."""
    width = max(map(len, rows))
    nan = float("nan")
    whole = [[nan] * left + list(row) + [nan] * (width - len(row) + right) for row in rows]
    return torch.tensor(whole, dtype=torch.float64)


def made_on(name: str, model: str, prompts: Sequence[Prompt], **given: Any) -> Any:
    """A method on a model. held_out: prompts; reward: a function or a reward model; the rest are options.

    token_reward, teacher: models. demonstrations: what is imitated beside. served: who draws the rollouts.
    constraints: sources of judges that permit responses. compared: judges of pairs that do so.
    """
    held_out, reward = given.pop("held_out", []), given.pop("reward", letters)
    further = {each: given.pop(each, None) for each in ("token_reward", "teacher", "served")}
    shown = given.pop("demonstrations", ())
    further |= {each: given.pop(each, ()) for each in ("constraints", "compared")}
    method = load(name)
    config = method.Config(**(SHORT | given))
    data = Data(prompts, held_out, demonstrations=shown)
    return method(config, data, LoadedModels(model, config, reward=reward, **further))


def trained_on(name: str, model: str, prompts: Sequence[Prompt], **given: Any) -> Run:
    """As `made_on`, and trained to the end."""
    method, log = made_on(name, model, prompts, **given), []
    fit(method, method.config, lambda step, metrics: log.append({"step": step, **metrics}), NoCheckpoints())
    return Run(method, log)


def gradients_of_splits(method: Any, batch: Any, sizes: Sequence[int]) -> list[torch.Tensor]:
    """The gradient of a batch as the loop adds it up of parts, once for each size of a part, in float64.

    The policy is moved away from what it drew first, so that no ratio is 1.
    """
    torch.manual_seed(0)
    method.policy.double()
    with torch.no_grad():
        for weight in method.policy.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    batch, found = in_float64(batch), []
    for size in sizes:
        method.policy.zero_grad()
        split = [take(batch, rows) for rows in parts(widths(batch.tokens), size, None)]
        assert len(split) == len(batch.tokens.ids) / size
        total = sum(part.weight for part in split)
        for part in split:
            (method.loss(part).loss * part.weight / total).backward()
        found.append(torch.cat([p.grad.flatten() for p in method.policy.parameters() if p.grad is not None]))
    return found


def assert_fresh_pairs_add_up(method: Any) -> None:
    """The gradient of one batch of 8 judged pairs is that of 4 batches of 2 and of 8 of 1."""
    plan = next(method.feed.plans(0))
    judged = method.feed.judged(plan)
    assert judged.weight == 8
    whole, *split = gradients_of_splits(method, judged, (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def in_float64(value: Any) -> Any:
    """Every floating tensor of a nested named tuple in float64."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    return type(value)(*map(in_float64, value)) if isinstance(value, tuple) else value
