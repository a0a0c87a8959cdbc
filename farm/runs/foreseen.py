"""What the judgements of a run will take, before anybody is asked: of fresh responses, and of evaluations.

The pairs to be are written into a ledger that lives for the plan alone. So `farm annotate --dry-run` counts
their requests and tokens, and `farm sample --dry-run` times what is drawn for evaluations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor

from annotators.composite import questions_of
from db.ledger import Ledger
from db.queries.outputs import latest
from db.records import Instruction, Item, Membership, Output, Pair
from farm.annotate import loaded, plan
from farm.config import Decoding, TrainConfig, loading_of
from farm.judging.at_work import total
from farm.judging.provider import Provider, Task
from farm.models.tokens import Prompt
from farm.options.train import TrainTask
from farm.progress import Progress
from farm.runs.evaluations import asked_of, held_out_instructions, planned, refuse_silent
from farm.runs.judges import JudgesOfRun, by_annotators, comparing
from farm.runs.rules import ReadConstraint
from farm.sample import SampleTask
from farm.sample import foresee as foresee_draws
from farm.training.foreseen import EvaluationsPlan, JudgingPlan
from farm.training.method import Method, PairJudge, Trainer

TIE = 0.5
SIDES = ("one", "other")
SOURCE = "foreseen"  # of the pairs, and the name of the set


class PairToBe(NamedTuple):
    """A pair that will be asked about."""

    asked: Instruction
    first: str
    second: str


class Listener:
    """A judge in the place of an annotator: it finds every pair a tie, and notes what it was asked."""

    def __init__(self, annotator: str) -> None:
        self.annotator = annotator
        self.heard: dict[int, list[PairToBe]] = {}

    def of_rollout(self, number: int) -> PairJudge:
        """The judge of a rollout, by its number."""

        def judge(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
            texts = zip(prompts, first, second, strict=True)
            self.heard[number] = [
                PairToBe(Instruction(prompt.instruction, prompt.input, prompt.turns), *both)
                for prompt, *both in texts
            ]
            return torch.full((len(first),), TIE, dtype=torch.float64)

        return judge

    def plan(self, task: TrainTask, rollouts: int) -> JudgingPlan:
        """What judging so many rollouts takes, by those that were heard."""
        pairs = [each for rollout in self.heard.values() for each in rollout if each.first != each.second]
        found = priced(pairs, self.annotator, task.judging, task.provider)
        return found.times(rollouts / max(1, len(self.heard)))


@dataclass(frozen=True)
class Listeners:
    """Listeners in the place of all annotators of a run."""

    fresh: Listener | None
    constraints: Sequence[tuple[ReadConstraint, Listener]]

    @classmethod
    def of(cls, method: Trainer, task: TrainTask) -> Listeners:
        """One for each annotator that is named."""
        named = task.annotator if "judge" in method.needs else None
        read = [(each, Listener(name)) for each, name in by_annotators(task.constraints)]
        return cls(Listener(named) if named else None, read)

    def begin(self, ledger: Ledger) -> JudgesOfRun:
        """Let them listen. Raises ConfigError on a constraint's set that is empty."""
        compared = [comparing(ledger, read, each.of_rollout) for read, each in self.constraints]
        return JudgesOfRun(self.fresh.of_rollout if self.fresh else None, compared)

    def plan(self, task: TrainTask, method: Method[Any]) -> JudgingPlan | None:
        """What all judgements of fresh responses take; None where no annotator is named."""
        every = [*([self.fresh] if self.fresh else []), *(each for _, each in self.constraints)]
        rollouts = ceil(method.feed.steps / method.feed.rollout_steps)
        plans = [each.plan(task, rollouts) for each in every]
        if not plans:
            return None
        return JudgingPlan(
            sum(each.judgements for each in plans),
            sum(each.requests for each in plans),
            total(each.cost for each in plans),
        )


def evaluations_plan(
    ledger: Ledger, task: TrainTask, config: TrainConfig, *, method: Method[Any], progress: Progress
) -> EvaluationsPlan | None:
    """What the evaluations of a run by a judge take; None where there are none.

    The answers are drawn from the model that the run begins with, for a few tokens. Raises ConfigError where
    no instruction is held out, and on a method that makes no model that answers.
    """
    wanted = task.evaluating
    if wanted.every is None:
        return None
    refuse_silent(method)
    asked = held_out_instructions(ledger, task)[1][: wanted.limit]
    times = len(planned(wanted.every, method.feed.steps, method.feed.rollout_steps))
    decoding = Decoding(temperature=wanted.temperature, max_new_tokens=wanted.max_new_tokens)
    with on_paper() as paper:
        paper.write_patiently(lambda writer: writer.memberships([Membership(each, SOURCE) for each in asked]))
        drawing = SampleTask(SOURCE, decoding=decoding, loading=loading_of(config))
        seconds = foresee_draws(paper, task.model, drawing, progress).seconds
    longest = " ".join(["word"] * wanted.max_new_tokens)
    pairs = [PairToBe(each, longest, f"{longest}.") for each in asked]
    known = wanted.against is not None and latest(ledger, wanted.against).decoding is not None
    draws = times if known else times + 1
    return EvaluationsPlan(
        times,
        instructions=len(asked),
        outputs=draws * len(asked),
        judging=priced(pairs, str(wanted.annotator), wanted.judging, asked_of(task)).times(times),
        seconds=draws * seconds,
    )


def priced(pairs: Sequence[PairToBe], name: str, task: Task, provider: Provider) -> JudgingPlan:
    """What an annotator's judgements of these pairs take. Raises ConfigError as `farm annotate` does."""
    annotator = loaded(name, task, provider)
    with on_paper() as paper:
        paper.write_patiently(lambda writer: writer.items(list(_items(pairs))))
        found = plan(paper, name, task, provider)
    return JudgingPlan(len(pairs) * task.replicates * questions_of(annotator), found.requests, found.cost)


@contextmanager
def on_paper() -> Iterator[Ledger]:
    """An empty ledger that is gone after the block."""
    with TemporaryDirectory() as folder, Ledger.open(Path(folder) / "farm.db", create=True) as paper:
        yield paper


def _items(pairs: Sequence[PairToBe]) -> Iterator[Item]:
    for place, (asked, *texts) in enumerate(pairs):
        outputs = [Output(asked, text, side, sample=place) for side, text in zip(SIDES, texts, strict=True)]
        yield Item(SOURCE, str(place), *Pair.of(*outputs))
