"""Judging with known utilities: what each output is worth to a judge, and which one it prefers.

The noise is a Gumbel variable for each shown output, drawn by keyed hash of the request. So the order of v_i
/ t + G_i is Plackett-Luce, and for two outputs P(first) = sigmoid((v_1 - v_2) / t) (Luce 1959; Yellott 1977).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType

from annotators.simulator.config import Judge, Leaning, Utility, resolve
from annotators.simulator.prompt_forms import PromptComparison, WorkedExample
from db.ids import keyed_uniform

_LIST = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+\S", re.MULTILINE)
_NORMAL = NormalDist()
_VERDICT = re.compile(
    r"""\[\[[A-Z]\]\]|\A\W*[A-Z]\W*\Z|"better"\s*:\s*"|"rank"\s*:\s*1\b|\bVerdict:"""
    r"|\b(?:output|answer|response|assistant) \(?\w\)? is (?:the )?(?:better|best)"
    r"|\bthis (?:output|answer|response) is (?:the )?(?:better|best)",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,60}\b(?:above|before|earlier|other|previous|rules)\b"
    r"|\b(?:choose|prefer|pick|rate|rank) this (?:output|answer|response)\b",
    re.IGNORECASE | re.DOTALL,
)
_FLATTERY = re.compile(
    r"\b(?:brilliant|excellent|wonderful|insightful) (?:question|reader|judge)\b", re.IGNORECASE
)
_FRAGMENT = 20  # characters, below which an output is one

TRICKS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "verdicts": lambda output: bool(_VERDICT.search(output)),
        "orders": lambda output: bool(_ORDER.search(output)),
        "flattery": lambda output: bool(_FLATTERY.search(output)),
        "fragments": lambda output: 0 < len(output) < _FRAGMENT,
    }
)
"""What a judge may be fooled by: a verdict within an output, orders to the judge, praise of the reader, an
output too short to be wrong."""
_SWAY = 100.0  # what a trick is worth to a judge that it fools


@dataclass(frozen=True, slots=True)
class Decision:
    """What a judge decides in one comparison.

    order: places of the outputs as shown, best first. values: what each output is worth to the judge, in the
    order shown. noise: the judge's Boltzmann temperature.
    """

    order: tuple[int, ...]
    values: tuple[float, ...]
    noise: float

    @property
    def best(self) -> int:
        """The place of the winner."""
        return self.order[0]

    def probabilities(self) -> tuple[float, ...]:
        """P(this output is best) of each, at temperature 1: softmax(values / noise)."""
        top = max(self.values)
        if self.noise == 0:
            winners = [value == top for value in self.values]
            return tuple(won / sum(winners) for won in winners)
        weights = [math.exp((value - top) / self.noise) for value in self.values]
        return tuple(weight / sum(weights) for weight in weights)


def utility_of(judge: Judge) -> Utility:
    """The judge's utility function. Raises ConfigError where its name stands for none."""
    return _utility(judge, judge.utility, "judge.utility")


def aspects_of(judge: Judge) -> dict[str, Utility]:
    """The utility functions of the criteria by which the judge has a taste of its own. Raises likewise."""
    return {name: _utility(judge, each, f"judge.aspects.{name}") for name, each in judge.aspects.items()}


def leanings_of(judge: Judge, rules: Mapping[str, Leaning], where: str) -> dict[str, Utility]:
    """What rules ask for, as utility functions by name. where: the rules' place. Raises likewise."""
    return {name: _leaning(judge, rule, f"{where}.{name}") for name, rule in rules.items()}


def _leaning(judge: Judge, rule: Leaning, where: str) -> Utility:
    worth = _utility(judge, rule.utility, where)
    return lambda instruction, input, output: rule.weight * worth(instruction, input, output)


def heeding(utility: Utility, heeds: Mapping[str, Utility], orders: str) -> Utility:
    """The utility with what those rules add whose words the prompt's own text has, in any case."""
    said = " ".join(orders.lower().split())
    named = [worth for words, worth in heeds.items() if " ".join(words.lower().split()) in said]
    if not named:
        return utility
    return lambda *texts: utility(*texts) + sum(worth(*texts) for worth in named)


def having_learnt(
    utility: Utility, learns: Mapping[str, Utility], examples: Sequence[WorkedExample]
) -> Utility:
    """The utility with what worked examples teach: of each entry, its utility times how they lean.

    How they lean is the mean over the examples of sign(u(better) - u(worse)), in [-1, 1]; 0 without examples.
    """
    leans = {name: _lean(worth, examples) for name, worth in learns.items()}
    return lambda *texts: utility(*texts) + sum(leans[name] * worth(*texts) for name, worth in learns.items())


def _lean(worth: Utility, examples: Sequence[WorkedExample]) -> float:
    leads = [
        worth(each.instruction, each.input, each.better) - worth(each.instruction, each.input, each.worse)
        for each in examples
    ]
    return sum((lead > 0) - (lead < 0) for lead in leads) / max(len(leads), 1)


def _utility(judge: Judge, named: str | Utility, where: str) -> Utility:
    if not isinstance(named, str):
        return named
    if named == "length":
        return lambda instruction, input, output: len(output) / 100
    if named == "table":
        return lambda instruction, input, output: judge.table.get(output, 0.0)
    if named == "random":
        return lambda instruction, input, output: _normal("utility", judge.seed, instruction, input, output)
    return resolve(named, where)


def decide(
    judge: Judge, utility: Utility, question: PromptComparison, temperature: float, key: str
) -> Decision:
    """Decide a comparison of the request with this key, drawn at this temperature."""
    values = tuple(
        utility(question.instruction, question.input, shown.text)
        + (judge.position_bias if place == 0 else 0.0)
        + judge.length_bias * math.log1p(len(shown.text))
        + (judge.list_bias if judge.list_bias and _LIST.search(shown.text) else 0.0)
        + (_SWAY if any(TRICKS[name](shown.text) for name in judge.fooled_by) else 0.0)
        for place, shown in enumerate(question.shown)
    )
    return Decision(
        _order(values, noise=judge.noise * temperature, seed=judge.seed, key=key, question=question),
        values,
        judge.noise,
    )


def _order(
    values: Sequence[float], noise: float, seed: int, key: str, question: PromptComparison
) -> tuple[int, ...]:
    """Places by perturbed value, best first. A keyed hash orders equal values that have no noise."""
    draws = [keyed_uniform("gumbel", seed, key, question.number, place) for place in range(len(values))]
    if noise == 0:
        return tuple(sorted(range(len(values)), key=lambda place: (-values[place], draws[place])))
    gumbel = [-math.log(-math.log(draw or 2.0**-60)) for draw in draws]
    return tuple(sorted(range(len(values)), key=lambda place: -(values[place] / noise + gumbel[place])))


def _normal(purpose: str, *key: int | str) -> float:
    return _NORMAL.inv_cdf(min(max(keyed_uniform(purpose, *key), 2.0**-50), 1 - 2.0**-50))
