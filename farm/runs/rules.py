"""Rewards and constraints that the command line names: models, or rules in Python."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from annotators.rules import LoadedUtility, load_utility
from db.errors import ConfigError
from db.ids import Json, content_hash
from db.ledger import Ledger
from db.queries import training
from farm.models.rewards import reward_source_key
from farm.models.tokens import Prompt
from farm.training.data import DataError, quote
from farm.training.method import RewardFn
from farm.training.run_models import ConstraintSource

RULE = re.compile(r"[\w.]+:[\w.]+")
CONSTRAINT = re.compile(r"(?:(?P<set>[^=<>]+)=)?(?P<judge>.+?)(?:\s*>=\s*(?P<least>\S+))?")
YES = 0.5  # a rule says 1 or True for yes, 0 or False for no; of an annotator it is a tie
BY = "by "  # begins the name of an annotator


class RuleReward:
    """A reward that a Python callable is: (instruction, input, output) -> a number, True or False."""

    def __init__(self, name: str, utility: LoadedUtility) -> None:
        self.name, self.utility = name, utility

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Scores: (B,). Raises DataError where the callable raises an error or gives no number."""
        return torch.tensor([self._score(*each) for each in zip(prompts, responses, strict=True)])

    def _score(self, prompt: Prompt, response: str) -> float:
        try:
            return float(self.utility.function(prompt.instruction, prompt.input, response))  # type: ignore[arg-type]
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            remedy = "let it give a number for each response"
            raise DataError(f"{self.name} failed: {told}", where=quote(prompt), remedy=remedy) from error


def reward_named(source: str, flag: str = "--reward") -> str | RewardFn:
    """A rule, where the source is `package.module:function`; else the source, a model to load.

    Only what the command line names is imported. Raises ConfigError on a rule that cannot be used.
    """
    if not RULE.fullmatch(source):
        return source
    utility = load_utility(source, flag)
    if utility.pairwise:
        what, remedy = f"{source} compares two outputs", "name a callable of (instruction, input, output)"
        raise ConfigError(what, where=flag, remedy=remedy)
    return RuleReward(source, utility)


def reward_key(source: str | None) -> str:
    """Identity of a reward: that of a model's files, or of a rule's name and code. None: an empty text."""
    named = reward_named(source) if source else None
    if isinstance(named, RuleReward):
        return content_hash("rule", [named.name, named.utility.source])
    return reward_source_key(source) if source else ""


class ReadConstraint(NamedTuple):
    """What `[SET=]JUDGE[ >= NUMBER]` says. judge: a rule or a model, or an annotator as `by NAME`."""

    judge: str
    at_least: float
    set_name: str | None

    @property
    def annotator(self) -> str | None:
        """The name of the annotator that judges; None where a rule or a model does."""
        return self.judge.removeprefix(BY).strip() if self.judge.startswith(BY) else None

    def prompts(self, ledger: Ledger) -> frozenset[Prompt] | None:
        """The prompts of its set; None where it has none. Raises ConfigError on a set that is empty."""
        if self.set_name is None:
            return None
        found = frozenset(Prompt.of(each) for each in training.instructed(ledger, self.set_name))
        if not found:
            remedy = "`farm status` lists the sets"
            raise ConfigError(f"the set {self.set_name!r} is empty", where="--constraint", remedy=remedy)
        return found

    @classmethod
    def read(cls, text: str) -> ReadConstraint:
        """Raises ConfigError on a bound that is no number, and on a model without one."""
        found = CONSTRAINT.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"{text!r} names no judge", where="--constraint", remedy=REMEDY)
        of, judge, least = (found[part] and found[part].strip() for part in ("set", "judge", "least"))
        if least is None and not RULE.fullmatch(judge) and not judge.startswith(BY):
            raise ConfigError(f"the model {judge} has no bound", where="--constraint", remedy=REMEDY)
        try:
            bound = YES if least is None else float(least)
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise ConfigError(f"{least!r} is no number", where="--constraint", remedy=REMEDY)
        return cls(judge, bound, of)


REMEDY = "write RULE, 'MODEL >= NUMBER', 'by ANNOTATOR', or one of them after SET="


def constraints_named(ledger: Ledger, given: Sequence[str]) -> list[ConstraintSource]:
    """The rules and models that permit responses, each for all prompts or for those of a set.

    Raises ConfigError on a constraint that cannot be read and on a set that is empty.
    """
    return [
        ConstraintSource(reward_named(each.judge, "--constraint"), each.at_least, each.prompts(ledger))
        for each in map(ReadConstraint.read, given)
        if each.annotator is None
    ]


def constraints_key(given: Sequence[str]) -> list[Json]:
    """Identity of constraints: what they say, and what the rules and models among their judges are."""
    read = [(text, ReadConstraint.read(text)) for text in given]
    return [[text, "" if each.annotator else reward_key(each.judge)] for text, each in read]
