"""Write the table of what methods learn from judged data into docs/methods.md, by benchmarks/learns.py.

python docs/site/learned.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.quickstart import over_seeds, said
from docs.site.blocks import filled

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "methods.md"
BENCHMARKS = ROOT / "benchmarks"
OPTIONS, RESULTS = "objectives_chosen", "learns_objectives"
PLAIN = "objectives"  # the options of this file are not told again
CONTROL = "dpo"
HEAD = ("method", "options", "gold win rate in %", "over `sft`", f"over `{CONTROL}`")


def options_of(name: str) -> dict[str, dict[str, object]]:
    """A file of options, by method."""
    found: dict[str, dict[str, object]] = yaml.safe_load((BENCHMARKS / f"{name}.yaml").read_text("utf-8"))
    return found


def told(chosen: Mapping[str, object], plain: Mapping[str, object]) -> str:
    """The options that differ from the plain ones."""
    other = {name: value for name, value in chosen.items() if plain.get(name) != value}
    return ", ".join(f"`{name}` {value}" for name, value in other.items()) or "as it is"


def table() -> str:
    """A row for each method, best first."""
    found = json.loads((BENCHMARKS / "results" / f"{RESULTS}.json").read_text("utf-8"))
    used, plain, rates = options_of(OPTIONS), options_of(PLAIN), found["win_rates"]
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for method in sorted(used, key=lambda name: -rates[name]["mean"]):
        beside = [each[method] - each[CONTROL] for each in found["by_seed"]]
        cells = [
            f"[{method}](methods/{method}.md)",
            told(used[method], plain.get(method, {})),
            said(rates[method], 100),
            said(found["over_sft"][method], 100),
            "" if method == CONTROL else said(over_seeds(beside), 100) if any(beside) else "the same outputs",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def text() -> str:
    """The page with its table made anew."""
    return filled(PAGE.read_text("utf-8"), "learned", table())


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
