"""Write docs/reward_models.md from what benchmarks/reward_models.py measured.

python docs/site/reward_models.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.quickstart import said
from docs.site.blocks import filled

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reward_models.md"
RESULTS = ROOT / "benchmarks" / "results" / "reward_models.json"
BASE = "reward_model"
MEASURES = {
    "gold_accuracy": ("Accuracy by the gold utility, %", 100, 1),
    "accuracy": ("Accuracy on people's labels, %", 100, 1),
    "ece": ("Expected calibration error on people's labels, %", 100, -1),
    "log_loss": ("Log loss on people's labels, nats", 1, -1),
}  # title, factor in print, and 1 where more is better or -1
NOT_YET = "Not measured yet."


def cell(figure: Mapping[str, float], times: float = 1) -> str:
    """A figure with its interval; without one where there is none. A dash where there is no figure."""
    if figure["mean"] is None:
        return "–"
    if figure["low"] == figure["high"]:
        return said({**figure, "n": 1}, times)
    return said(dict(figure), times)


def linked(name: str) -> str:
    """The name of a kind or arm, with its page if it has one."""
    pages = (f"methods/{name}.md", f"{name}.md")
    return next((f"[{name}]({page})" for page in pages if (PAGE.parent / page).is_file()), name)


def table(head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """Rows by name under a head."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join([linked(name), *cells])} |" for name, cells in rows.items()]
    return "\n".join(lines) + "\n"


def by_size(found: Mapping[str, Any], measure: str, times: float, what: str) -> str:
    """A measure of each kind, a column for each size."""
    sizes = list(next(iter(found.values())))
    rows = {name: [cell(of[size][measure], times) for size in sizes] for name, of in found.items()}
    return table([what, *(f"{int(size):,}" for size in sizes)], rows)


def side(figure: Mapping[str, float]) -> int:
    """1 or -1 where the interval lies above or below 0; else 0, and where there is none."""
    if figure["n"] < 2:
        return 0
    return (figure["low"] > 0) - (figure["high"] < 0)


def apart(over: Mapping[str, Any], measure: str, more: int, base: str) -> str:
    """Which differences from the base have an interval that leaves out 0."""
    lines = []
    for word, sign in (("Better", 1), ("Worse", -1)):
        told = []
        for name, of in over.items():
            sizes = [f"{int(size):,}" for size, each in of.items() if more * side(each[measure]) == sign]
            told += [f"{name} ({', '.join(sizes)})"] * bool(sizes)
        lines += [f"{word} than {base}: {', '.join(told)}."] * bool(told)
    rest = "The others are not told apart." if lines else f"None is told apart from {base}."
    return " ".join([*lines, rest]) + "\n"


def compared(found: Mapping[str, Any], over: Mapping[str, Any], base: str, what: str) -> Iterator[str]:
    """Each measure that there is: the figures, the differences from the base, and what the intervals say."""
    there = next(iter(next(iter(found.values())).values()))
    for measure, (title, times, more) in MEASURES.items():
        if measure in there:
            yield f"**{title}**\n"
            yield by_size(found, measure, times, what)
            yield f"Less {base}, of equal seeds:\n"
            yield by_size(over, measure, times, what)
            yield apart(over, measure, more, base)


def kinds(found: Mapping[str, Any]) -> Iterator[str]:
    """The kinds of reward models by the number of pairs, and where this was measured."""
    seeds = " ".join(map(str, found["seeds"]))
    yield f"Seeds {seeds}; {found['held_out']} pairs are held out, in the last one.\n"
    yield from compared(found["kinds"], found["over_reward_model"], BASE, "pairs")


def best_of_n(found: Mapping[str, Any]) -> Iterator[str]:
    """The gold utility of the best of n. One draw leaves nothing to choose, so nothing is told apart."""
    for part, before, least in (
        ("best_of_n", "", 1),
        ("best_of_n_over_one", "Less one reward model, of equal seeds:\n", 2),
    ):
        yield from [before] * bool(before)
        shown = {
            name: {n: each for n, each in of.items() if int(n) >= least} for name, of in found[part].items()
        }
        rows = {name: [cell(each) for each in of.values()] for name, of in shown.items()}
        yield table(["chosen by, best of", *next(iter(shown.values()))], rows)


def shares(part: str, head: str) -> Callable[[Mapping[str, Any]], Iterator[str]]:
    """A table of one share for each name."""

    def block(found: Mapping[str, Any]) -> Iterator[str]:
        rows = {name: [cell(each, 100)] for name, each in found[part].items() if name != "n"}
        yield table([head, "%"], rows)

    return block


def votes(found: Mapping[str, Any]) -> Iterator[str]:
    """What is learnt from votes on single outputs."""
    yield from compared(found["votes"], found["votes_over_soft_labels"], "soft labels", "answers")


def weak_to_strong(found: Mapping[str, Any]) -> Iterator[str]:
    """What is learnt from weak labels."""
    over, closed = found["weak_to_strong_over_plain"], found["recovered"]
    rows = {
        name: [
            cell(figure, 100),
            cell(over[name], 100) if name in over else "",
            cell(closed[name], 100) if name in closed else "",
        ]
        for name, figure in found["weak_to_strong"].items()
    }
    yield table(["model", "gold accuracy, %", f"less `{BASE}`", "gap recovered, %"], rows)


BLOCKS: dict[str, tuple[str, str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "kinds": ("world", "kinds", kinds),
    "best of n": ("world", "best_of_n", best_of_n),
    "localisation": ("world", "localisation", shares("localisation", "kind")),
    "principles": ("world", "principles", shares("principles", "principles")),
    "votes": ("world", "votes", votes),
    "weak to strong": ("world", "weak_to_strong", weak_to_strong),
    "real people": ("real", "kinds", kinds),
}
"""Name of a block of the page -> where its figures are in the results, and what makes it of them."""


def text(found: Mapping[str, Any]) -> str:
    """The page with its blocks made anew. found: what the results file holds."""
    page = PAGE.read_text("utf-8")
    for name, (where, part, make) in BLOCKS.items():
        figures = found.get(where, {})
        body = "\n".join(make(figures)).strip("\n") if part in figures else NOT_YET
        page = filled(page, name, body)
    return page


def results() -> Mapping[str, Any]:
    """What the results file holds; nothing where there is none."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}


if __name__ == "__main__":
    PAGE.write_text(text(results()), encoding="utf-8")
