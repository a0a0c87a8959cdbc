"""The reply of a model that is shown disagreements of people and a judge, and asked for rules.

It knows some rules, and what each asks for. It writes those that explain most of the disagreements: a rule
explains one where the output that people prefer is worth more by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from annotators.simulator.config import Utility
from annotators.simulator.prompt_forms import PromptDisagreement

_WANTED = re.compile(r"\bWrite (\d+) rules?\b")


def proposal(rules: Mapping[str, Utility], shown: Sequence[PromptDisagreement], orders: str) -> str:
    """`Rule: ...` on a line of its own for each rule, the best first. rules: what each asks for.

    orders: the prompt's own text, which says how many it wants; all where it does not say.
    """
    wanted = _WANTED.search(orders)
    ranked = sorted(rules, key=lambda name: -sum(_explains(rules[name], each) for each in shown))
    return "\n".join(f"Rule: {name}" for name in ranked[: int(wanted[1]) if wanted else None])


def _explains(worth: Utility, shown: PromptDisagreement) -> float:
    """1 where a rule prefers what people prefer, 0 where it prefers what the judge does, 1/2 for neither."""
    people, judge = (worth(shown.instruction, shown.input, text) for text in (shown.people, shown.judge))
    return 0.5 if people == judge else float(people > judge)
