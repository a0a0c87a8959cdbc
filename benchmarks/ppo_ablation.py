"""Measures what each choice in ppo is worth: runs with one of them changed, on the task of learning.py.

    python benchmarks/ppo_ablation.py FOLDER --trl-python PYTHON --json benchmarks/results/ppo_ablation.json

FOLDER keeps the task and the figures of every run, so a measurement that was interrupted goes on. The arm
`ppo` has the defaults of ppo where the task sets nothing else. Every other arm changes one thing, and its
figures are differences from `ppo` with the same seeds, with Student's 95 % intervals.

reward: true reward of 512 responses to held-out prompts at the end. objective: reward minus KL_PENALTY times
their exact KL from the base model, which is what ppo maximises. learning: mean true reward over the responses
of all rollouts: high if it was learnt soon. explained_variance: of the returns of the 512 responses, which
contain no values. Where the reward is a reward model's, `learning` is in its units, and explained_variance,
which is of the true reward, says nothing. PYTHON: an environment with trl 1.12, whose ppo starts as the arm
"value head at random".
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice, repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import yaml
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.learning import OPTIONS, TRL, Side, jobs
from benchmarks.learning_measures import KL_PENALTY, Figures, loaded, measured, of_draws
from benchmarks.learning_ours import data, reward_of
from benchmarks.learning_task import SURENESS, make
from benchmarks.learning_tasks import start
from benchmarks.quickstart import over_seeds
from farm.methods.ppo import PPO, Lesson, PPOConfig
from farm.methods.reward_model import RewardModel, RewardModelConfig
from farm.models.tokens import Prompt
from farm.training.batches import Rollout
from farm.training.data import Data
from farm.training.loop import fit
from farm.training.method import Loss, Models, RewardFn
from farm.training.on_policy import RolloutPlan
from farm.training.run_models import LoadedModels

TASK: dict[str, Any] = {
    "batch_size": 64, "rollout_epochs": 2, "minibatches": 2, "max_steps": 160, "epochs": 4.0,
    "max_new_tokens": 24, "beta": KL_PENALTY, "lam": 0.95, "learning_rate": 1e-3, "schedule": "constant",
    "warmup": 0.0, "template": "{instruction}", "max_length": 64, "device": "cpu", "log_every": 4,
}  # fmt: skip
FIGURES = ("reward", "objective", "learning", "kl", "explained_variance")


class ClippedTogether(PPO):
    """One norm for policy and value model."""

    def parts(self) -> dict[str, nn.Module]:
        """None: the loop clips all that is trained together."""
        return {}


class HeadAtRandom(PPO):
    """The value model's head starts as a new reward model's does, from N(0, 1 / (hidden + 1))."""

    def __init__(self, config: PPOConfig, data: Data[Prompt], models: Models) -> None:
        super().__init__(config, data, models)
        drawn = models.scorer().model.score.weight
        self.value.model.score.weight.data.copy_(drawn)


class HeadAtZero(PPO):
    """The value model begins as the reward model, but for its head, which starts at 0, as in AlpacaFarm."""

    def __init__(self, config: PPOConfig, data: Data[Prompt], models: Models) -> None:
        super().__init__(config, data, models)
        nn.init.zeros_(self.value.model.score.weight)


class ScoreAfterTheEnd(PPO):
    """The score is paid one state after the end, whose value is learnt too, as in TRL.

    With V_e the value of that state, the last token's reward is λ r + (1 − λ) V_e in place of r.
    """

    def lesson(self, rollout: Rollout) -> Lesson:
        """Advantages and returns, with V_e in the place of `ended`."""
        with torch.no_grad():
            after = self.value(rollout.tokens)
        lam = self.config.lam
        found = super().lesson(rollout._replace(score=lam * rollout.score + (1 - lam) * after))
        kept = found.experience.rollout._replace(score=rollout.score, ended=after)
        stats = {**found.stats, "objective/scores": rollout.score.mean()}
        return found._replace(experience=found.experience._replace(rollout=kept), stats=stats)

    def loss(self, batch: Lesson) -> Loss:
        """The value loss is a mean over tokens and ends."""
        loss, rollout, clip = super().loss(batch), batch.experience.rollout, self.config.value_clip
        value, old = self.value(batch.tokens), rollout.ended
        near = torch.clamp(value, old - clip, old + clip)
        wrong = torch.maximum((value - rollout.score).square(), (near - rollout.score).square()) / 2
        hidden = self.value.values(batch.tokens)
        returns, old_values, mask = batch.experience.returns, rollout.values, batch.tokens.mask
        near = torch.clamp(hidden, old_values - clip, old_values + clip)
        of_tokens = torch.maximum((hidden - returns).square(), (near - returns).square())[mask] / 2
        mean = torch.cat([wrong, of_tokens]).mean() - of_tokens.mean()
        return loss._replace(loss=loss.loss + self.config.vf_coef * mean)


class AdvantagesAsTheyAre(PPO):
    """Advantages are not whitened."""

    def lesson(self, rollout: Rollout) -> Lesson:
        """The advantages are returns minus values."""
        found = super().lesson(rollout)
        plain = (found.experience.returns - rollout.values).masked_fill(~rollout.tokens.mask, 0.0)
        return found._replace(experience=found.experience._replace(advantages=plain))


class MinibatchesKept(PPO):
    """Every pass goes over the same minibatches."""

    def __init__(self, config: PPOConfig, data: Data[Prompt], models: Models) -> None:
        super().__init__(config, data, models)
        deal = self.feed.dealt

        def dealt(plan: RolloutPlan, batch: Lesson) -> Iterator[list[Lesson]]:
            first = list(islice(deal(plan, batch), self.config.minibatches))
            return chain.from_iterable(repeat(first, self.config.rollout_epochs))

        self.feed.dealt = dealt  # type: ignore[method-assign]


class ValuesAgain(PPO):
    """Values, advantages and returns are computed anew before each pass."""

    def __init__(self, config: PPOConfig, data: Data[Prompt], models: Models) -> None:
        super().__init__(config, data, models)
        deal, count = self.feed.dealt, self.config.minibatches

        def dealt(plan: RolloutPlan, batch: Lesson) -> Iterator[list[Lesson]]:
            for epoch in range(self.config.rollout_epochs):
                rollout = batch.experience.rollout
                with torch.no_grad():
                    now = self.lesson(rollout._replace(values=self.value.values(batch.tokens)))
                yield from islice(deal(plan, now), epoch * count, (epoch + 1) * count)

        self.feed.dealt = dealt  # type: ignore[method-assign]


class Arm(NamedTuple):
    """A change: another class of the method, or other options.

    learnt: the reward is that of a reward model, as which the value model begins. Its scores are log-odds.
    """

    method: type[PPO] = PPO
    options: Mapping[str, Any] = MappingProxyType({})
    learnt: bool = False

    @property
    def base(self) -> str:
        """The arm that it is compared with."""
        return LEARNT if self.learnt else PLAIN


PLAIN, LEARNT = "ppo", "ppo with a reward model"
OF_LOG_ODDS = {"beta": KL_PENALTY * SURENESS}
ARMS = {
    PLAIN: Arm(),
    "clipped together at 1": Arm(ClippedTogether),
    "not clipped": Arm(options={"max_grad_norm": 1e9}),
    "Adam's epsilon 1e-5": Arm(options={"adam_epsilon": 1e-5}),
    "value head at random": Arm(HeadAtRandom),
    "score one state after the end": Arm(ScoreAfterTheEnd),
    "advantages not whitened": Arm(AdvantagesAsTheyAre),
    "rewards divided by their deviation": Arm(options={"whiten_rewards": True}),
    "the same minibatches in each pass": Arm(MinibatchesKept),
    "values computed anew in each pass": Arm(ValuesAgain),
    "prompts of like length": Arm(options={"length_window": 32}),
    "rate falls along a line": Arm(options={"schedule": "linear"}),
    "warm-up of a tenth": Arm(options={"warmup": 0.1}),
    "lambda 1": Arm(options={"lam": 1.0}),
    "values not clipped": Arm(options={"value_clip": 1e3}),
    LEARNT: Arm(options=OF_LOG_ODDS, learnt=True),
    "value head at 0": Arm(HeadAtZero, options=OF_LOG_ODDS, learnt=True),
}
THEIRS = "TRL 1.12"
DECISIVE = {PLAIN, "clipped together at 1", "not clipped", "value head at random", THEIRS}
EVERY = [*ARMS, THEIRS]


def run(arm: Arm, task: Path, seed: int) -> Figures:
    """Train one run and measure it."""
    config = arm.method.Config(**{**TASK, **arm.options, "seed": seed})
    judge: str | RewardFn = reward_model(task) if arm.learnt else reward_of(task)
    models = LoadedModels(str(start(task, "base", seed)), config, reward=judge)
    method = arm.method(config, data("instructions", task, "ppo"), models)
    scores: list[float] = []
    fit(method, config, lambda _, line: scores.append(line["objective/scores"]), NoCheckpoints())
    with tempfile.TemporaryDirectory() as name:
        policy, value = Path(name) / "policy", Path(name) / "value"
        method.product.save(policy)
        method.value.save(value)
        model, base = (loaded(AutoModelForCausalLM, folder) for folder in (policy, task / "base"))
        found = of_draws(model, base, task, loaded(AutoModelForSequenceClassification, value))
    return with_learning(found, scores)


def with_learning(found: Figures, scores: Sequence[float]) -> Figures:
    """The figures with two more. scores: the mean score of each rollout."""
    objective = found["reward"] - KL_PENALTY * found["kl"]
    return {**found, "objective": objective, "learning": sum(scores) / len(scores)}


def reward_model(task: Path) -> str:
    """A reward model that learnt the noisy pairs of the task; made once."""
    folder = task / "reward_model"
    if not folder.exists():
        same = {name: TASK[name] for name in ("learning_rate", "template", "max_length", "device")}
        config = RewardModelConfig(batch_size=16, epochs=2.0, **same)
        source = LoadedModels(str(task / "base"), config)
        method = RewardModel(config, data("pairs", task, "reward_model"), source)
        fit(method, config, lambda *_: None, NoCheckpoints())
        method.product.save(folder)
    return str(folder)


class NoCheckpoints:
    """In the place of the loop's checkpoints: begins at step 0 and keeps nothing."""

    latest = ""

    def restore(self, *_: object) -> int:
        """Begin at step 0."""
        return 0

    def due(self, _: int) -> bool:
        """No checkpoint is."""
        return False

    def save(self, *_: object) -> None:
        """Save nothing."""


class Theirs:
    """TRL's PPO in a process of its own. python: an environment with trl 1.12."""

    def __init__(self, python: str, folder: Path) -> None:
        self.side, self.folder = Side(TRL, python, folder / "trl.log"), folder

    def run(self, seed: int) -> Figures:
        """Train a run and measure it."""
        task = self.folder / "task"
        (job,) = jobs(yaml.safe_load(OPTIONS.read_text()), [PLAIN], [TRL], [seed])
        with tempfile.TemporaryDirectory() as out:
            scores = self.side.run({**job, "marks": 1, "task": str(task), "out": out})["scores"]
            found = measured("ppo", Path(out) / f"at-{job['steps']}", task, last=True)
        return with_learning(found, scores)


class Bench:
    """Makes runs and keeps their figures in a folder."""

    def __init__(self, folder: Path, trl_python: str | None) -> None:
        self.folder, self.trl_python = folder, trl_python

    @cached_property
    def theirs(self) -> Theirs:
        """TRL's side, started when it is first needed."""
        if self.trl_python is None:
            sys.exit(
                "name an environment with trl 1.12: --trl-python PYTHON, or leave its arms out with --arms"
            )
        return Theirs(self.trl_python, self.folder)

    def figures(self, name: str, seed: int) -> Figures:
        """The figures of a run: those in the folder, or those of a run that is made now."""
        file = self.folder / "runs" / f"{name.replace(' ', '_')}-{seed}.json"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            theirs = name == THEIRS
            made = self.theirs.run(seed) if theirs else run(ARMS[name], self.folder / "task", seed)
            file.write_text(json.dumps(made))
            print(f"{name}, seed {seed}", flush=True)
        found: Figures = json.loads(file.read_text())
        return found


def compared(found: Mapping[str, Sequence[Figures]], name: str) -> dict[str, dict[str, float]]:
    """Mean and Student's 95 % interval of each figure; of a changed arm: of the differences it makes."""
    base = ARMS[name].base if name in ARMS else PLAIN
    pairs = list(zip(found[name], found[base], strict=False))
    of = {figure: [(one[figure], other[figure]) for one, other in pairs] for figure in found[name][0]}
    return {
        figure: over_seeds([one if name == base else one - other for one, other in both])
        for figure, both in of.items()
    }


def said(figures: Mapping[str, dict[str, float]], figure: str) -> str:
    """A mean with half its interval."""
    of = figures[figure]
    return f"{figure} {of['mean']:+.3f} ± {of['high'] - of['mean']:.3f}"


def main(given: Sequence[str] | None = None) -> None:
    """Measure the arms and seeds that the options name; print and write what each arm is worth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=8, help="of the arms that decide")
    parser.add_argument("--others", type=int, default=3, help="seeds of the other arms")
    parser.add_argument("--arms", nargs="+", default=EVERY, choices=EVERY)
    parser.add_argument("--trl-python", help="of an environment with trl 1.12")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    make(options.folder / "task")
    bench = Bench(options.folder, options.trl_python)
    seeds = {name: options.seeds if name in DECISIVE else options.others for name in options.arms}
    found: dict[str, list[Figures]] = {name: [] for name in options.arms}
    for seed in range(options.seeds):
        for name in (name for name in options.arms if seed < seeds[name]):
            found[name].append(bench.figures(name, seed))
    table = {name: compared(found, name) for name in options.arms}
    for name, of in table.items():
        print(f"{name:36} " + "  ".join(said(of, figure) for figure in FIGURES))
    if options.json:
        made = {"options": TASK, "seeds": seeds, "arms": table, "runs": found}
        options.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
