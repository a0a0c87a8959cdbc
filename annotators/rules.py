"""Annotators without a model: simple baselines, and an oracle whose utility is known.

A rule looks at a pair as it is shown and gives P(the first shown is preferred). judgement.py undoes the
order, as it does for any other annotator. Lengths are in characters.
"""

from __future__ import annotations

import importlib
import inspect
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from annotators.draws import Occasion
from annotators.judgement import Judgement, Verdict, failed, judgement_of, spared
from annotators.lists import has_list as has_list
from annotators.shown import ShownPair
from annotators.spec import AnnotatorSpec
from annotators.strict_yaml import nearest
from db.errors import ConfigError
from db.ids import content_hash
from db.records import AnnotatorCard, Pair

Rule = Callable[[ShownPair, Occasion], float]
"""(a pair as shown, the occasion of the judgement) -> P(the output shown first is preferred)."""


def _larger(first: float, second: float) -> float:
    return 0.5 if first == second else float(first > second)


def _random(shown: ShownPair, occasion: Occasion) -> float:
    """A coin that is tossed anew for each order, as by a judge who does not look at the outputs."""
    return float(occasion.uniform("random verdict", shown.swapped) < 0.5)


RULES: MappingProxyType[str, Rule] = MappingProxyType(
    {
        "longest": lambda shown, _: _larger(len(shown.first), len(shown.second)),
        "shortest": lambda shown, _: _larger(len(shown.second), len(shown.first)),
        "first": lambda shown, _: 1.0,
        "random": _random,
        "list-lover": lambda shown, _: _larger(has_list(shown.first), has_list(shown.second)),
    }
)
ORACLE = "oracle"


def rule_problems(spec: AnnotatorSpec) -> list[str]:
    """What is wrong with a spec of kind rule, one clause each."""
    if spec.rule not in RULES and spec.rule != ORACLE:
        return [f"unknown rule {spec.rule!r}{nearest(spec.rule, [*RULES, ORACLE])}"]
    if spec.utility and spec.rule != ORACLE:
        return [f"{spec.rule} takes no utility, only {ORACLE} does"]
    return []


@dataclass(frozen=True)
class RuleAnnotator:
    """A rule that judges pairs. Build with `of`."""

    spec: AnnotatorSpec
    rule: Rule

    @classmethod
    def of(cls, spec: AnnotatorSpec, utility: str = "") -> RuleAnnotator:
        """The annotator of a spec of kind rule. utility: the oracle's callable, as the user names it.

        A callable that only the spec names is not loaded, since a spec is a file of anybody. Raises
        ConfigError for it, for an unknown rule, and where the utility cannot be loaded.
        """
        if problems := rule_problems(replace(spec, utility=utility or spec.utility)):
            raise ConfigError("; ".join(problems), where=spec.name)
        if spec.rule != ORACLE:
            return cls(spec, RULES[spec.rule])
        if spec.utility and not utility:
            named = f"its file names the Python callable {spec.utility!r:.200}"
            what = f"{named}, which is not run on the file's word"
            remedy = f"if you trust it, add --utility {shlex.quote(spec.utility)}"
            raise ConfigError(what, where=spec.name, remedy=remedy)
        loaded = load_utility(utility)
        identity = f"{utility}@{loaded.source}" if loaded.source else utility
        return cls(replace(spec, utility=identity), loaded.rule)

    @property
    def id(self) -> str:
        """Fingerprint of everything that can change a judgement."""
        return self.spec.fingerprint

    def card(self) -> AnnotatorCard:
        """The annotator as the ledger keeps it."""
        return self.spec.card

    def occasion(self, pair: Pair, replicate: int = 0) -> Occasion:
        """What the draws about a pair and replicate depend on."""
        return Occasion(pair.key, self.spec.draw_key, replicate)

    def judge(self, pair: Pair, replicate: int = 0, swapped: bool | None = None) -> Judgement:
        """Judge a pair. swapped: output_b is shown first; None draws the order.

        The judgement fails where the oracle's callable raises an error or gives no usable value.
        """
        occasion = self.occasion(pair, replicate)
        turned = occasion.swapped() if swapped is None else swapped
        if saved := spared(turned, self.spec.noise, occasion):
            return saved
        try:
            preference = self.rule(ShownPair(pair, turned), occasion)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return failed(reason, turned)
        return judgement_of(Verdict(preference), turned, self.spec.noise, occasion)


@dataclass(frozen=True)
class LoadedUtility:
    """The callable of an oracle. pairwise: it takes both outputs at once."""

    function: Callable[..., object]
    pairwise: bool

    @cached_property
    def source(self) -> str:
        """Hash of the file that defines the callable: changed code is another annotator. Empty if unknown."""
        try:
            path = inspect.getsourcefile(inspect.unwrap(self.function))
            text = Path(path).read_text(encoding="utf-8") if path else ""
        except (TypeError, OSError, UnicodeDecodeError):
            return ""
        return content_hash("utility", text)[:12]

    def rule(self, shown: ShownPair, _: Occasion) -> float:
        """P(the output shown first is preferred). Raises ValueError on a value that is none."""
        if self.pairwise:
            value = self._call(shown.instruction, shown.input, *shown.outputs)
            if not 0 <= value <= 1:
                raise ValueError(f"the oracle's preference is {value}, not in [0, 1]")
            return value
        values = (self._call(shown.instruction, shown.input, text) for text in shown.outputs)
        return _larger(*values)

    def _call(self, *arguments: str) -> float:
        value = self.function(*arguments)
        number = float(value)  # type: ignore[arg-type]
        if math.isnan(number):
            raise ValueError("the oracle's utility is not a number")
        return number


def load_utility(name: str, where: str = "oracle") -> LoadedUtility:
    """Load the callable `package.module:function`. where: what named it, for an error.

    It is of the form (instruction, input, output) -> utility, or (instruction, input, output_1, output_2) ->
    P(output_1 is preferred). Raises ConfigError where there is none.
    """
    remedy = "name a Python callable as package.module:function"
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"{name!r} names no utility", where=where, remedy=remedy)
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        help_ = f"{remedy}; is its folder on PYTHONPATH?"
        raise ConfigError(f"{name} cannot be loaded: {error}", where=where, remedy=help_) from error
    if not callable(found):
        raise ConfigError(f"{name} is not callable", where=where, remedy=remedy)
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return LoadedUtility(found, pairwise=False)
    for pairwise in (False, True):
        try:
            signature.bind(*[""] * (3 + pairwise))
        except TypeError:
            continue
        return LoadedUtility(found, pairwise)
    wanted = "(instruction, input, output) or (instruction, input, output_1, output_2)"
    raise ConfigError(f"{name}{signature} does not take {wanted}", where=where, remedy=remedy)
