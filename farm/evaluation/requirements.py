"""Rules that an audit has to meet, such as `agreement.low >= 0.6`, for machines that stop where one fails.

A rule is `[WHO:] MEASURE[.value|.low|.high|.n] SIGN NUMBER`. WHO is an annotator or `reference`; without it
the rule is about every annotator outside the reference, each of which has to meet it. MEASURE is one that
`farm audit --json` shows. A figure that is not defined meets no rule.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from db.errors import ConfigError, did_you_mean
from farm.evaluation.audit_report import PRICES, CheckedRule, Slice
from farm.statistics.bootstrap import Interval

REFERENCE = "reference"
SIGNS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
)
_RULE = re.compile(
    r"(?:(?P<who>[^:]{1,200}):)?\s*(?P<measure>\w+)(?:\.(?P<part>value|low|high|n))?"
    r"\s*(?P<sign>>=|<=|>|<)\s*(?P<number>-?\d{1,9}(?:\.\d{1,9})?)"
)
FORM = "write it as `agreement.low >= 0.6` or `judge: kappa >= 0.4`"


@dataclass(frozen=True)
class Requirement:
    """A rule. who: an annotator's name, REFERENCE, or empty for every annotator outside the reference."""

    text: str
    who: str
    measure: str
    part: str
    sign: str
    number: float

    def met_by(self, value: float | None) -> bool:
        """Whether a figure meets the rule; None, which is not defined, does not."""
        return value is not None and SIGNS[self.sign](value, self.number)


def requirement_of(text: str) -> Requirement:
    """Read a rule. Raises ConfigError where it is none."""
    found = _RULE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r:.200} is no rule", where="--require", remedy=FORM)
    return Requirement(
        text=text.strip(),
        who=(found["who"] or "").strip(),
        measure=found["measure"],
        part=found["part"] or "value",
        sign=found["sign"],
        number=float(found["number"]),
    )


def rules_of(texts: Sequence[str], file: Path | None) -> list[Requirement]:
    """The rules of flags, then those of a file, a line each; blank lines and what follows a # do not count.

    Raises ConfigError on a line that is no rule, and on a file that cannot be read.
    """
    found = [requirement_of(text) for text in texts]
    if file is None:
        return found
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(file)) from None
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        try:
            found += [requirement_of(text)] if text else []
        except ConfigError as error:
            raise ConfigError(error.what, where=f"{file}, line {number}", remedy=FORM) from None
    return found


def checked(rules: Sequence[Requirement], whole: Slice) -> tuple[CheckedRule, ...]:
    """Each rule beside the audit's figures. Raises ConfigError on an unknown annotator or measure."""
    return tuple(_checked(rule, whole) for rule in rules)


def _checked(rule: Requirement, whole: Slice) -> CheckedRule:
    figures = _figures(rule, whole)
    values = {who: _value(rule, measures) for who, measures in figures.items()}
    failing = {who: value for who, value in values.items() if not rule.met_by(value)}
    downward = rule.sign.startswith("<")
    worst = min(failing or values, key=lambda who: _from_worst(values[who], downward))
    return CheckedRule(rule.text, not failing, worst, values[worst])


def _from_worst(value: float | None, downward: bool) -> float:
    """Orders figures, the one that is furthest from meeting a rule first."""
    if value is None:
        return float("-inf")
    return -value if downward else value


def _figures(rule: Requirement, whole: Slice) -> dict[str, Mapping[str, Interval]]:
    """The measures of everybody whom the rule is about."""
    if rule.who == REFERENCE:
        return {whole.reference.name or REFERENCE: whole.reference.measures}
    every: dict[str, Mapping[str, Interval]] = {
        each.name: {**each.measures, **{name: _bare(getattr(each, name)) for name in PRICES}}
        for each in whole.annotators
    }
    if rule.who:
        if rule.who not in every:
            remedy = did_you_mean(rule.who, every, f"there are {', '.join(sorted(every)[:8])}")
            raise ConfigError(f"no annotator {rule.who!r} is audited", where=rule.text, remedy=remedy)
        return {rule.who: every[rule.who]}
    judges = {each.name for each in whole.annotators if each.kind not in whole.reference.kinds}
    found = {name: measures for name, measures in every.items() if name in judges - {whole.reference.name}}
    if not found:
        raise ConfigError("nobody outside the reference is audited", where=rule.text)
    return found


def _bare(value: float | None) -> Interval:
    """A figure without bounds."""
    return Interval(value, None, None, 0)


def _value(rule: Requirement, measures: Mapping[str, Interval]) -> float | None:
    if rule.measure not in measures:
        there = f"there are {', '.join(sorted(measures))}"
        remedy = did_you_mean(rule.measure, measures, there)
        raise ConfigError(f"no measure {rule.measure!r}", where=rule.text, remedy=remedy)
    value = getattr(measures[rule.measure], rule.part)
    return None if value is None else float(value)
