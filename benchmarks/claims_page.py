"""The page docs/claims.md: verdicts on the claims of benchmarks/claims.yaml, and the figures of all arms."""

from __future__ import annotations

from benchmarks.claims_parts import MEASURES, Claim, Claims, Difference
from benchmarks.claims_verdict import (
    OPEN,
    REFUTED,
    SEEDS,
    SHOWN,
    Found,
    decided,
    over_seeds,
    paired,
    verdict,
)
from farm.statistics.bootstrap import Interval

SHARES = ("gold", "people", "accuracy", "passed")  # told in points
HEADS = {
    "gold": "gold, points over sft",
    "people": "people, points over sft",
    "kl": "KL from the start, nats",
    "judgements": "judgements",
    "accuracy": "accuracy, %",
    "to_teacher": "KL from the teacher, nats a token",
    "to_oracle": "KL from the oracle, nats a token",
    "passed": "kept all rules, %",
    "words": "words of an answer",
}
HEAD = f"""# Claims of papers, tested

A paper claims that its method does something. The [embedded world](world.md) has a known truth, so such a
claim can be tested there in minutes. This page has each claim in one sentence, the experiment that decides
it here, our figure and the verdict. The model has under a million weights and the tasks are simple:
"refuted here" says that the effect is not there in this world. It does not say that the paper is wrong
about larger models.

    python benchmarks/claims.py FOLDER --seeds {" ".join(map(str, range(SEEDS)))}
    python benchmarks/claims.py --table > docs/claims.md

The first command runs what is missing in `benchmarks/results/claims.json`. The second one writes this page
from that file. Claims, arms and options stand in `benchmarks/claims.yaml`.

## The rule

Every seed is a world of its own: instructions, people, judges, supervised model. A difference is taken
between arms of the same seed. It has Student's interval over seeds, at 95 % where one difference decides a
claim, and at 1 - 0.05 / k where k do. Each entry said beforehand how large a difference would matter.

- **{REFUTED}**: the interval of a difference lies below what would matter.
- **{SHOWN}**: no difference is refuted, and every interval lies beyond 0, or beyond the bound of the entry.
- **{OPEN}**: anything else, and whatever has fewer than {SEEDS} seeds.

If differences are normal over seeds, a claim whose effect is absent is shown with a chance of at most
2.5 %, and a claim whose effect is as large as would matter is refuted with a chance of at most 2.5 %.

## Verdicts
"""
BELOW = """A difference is in points where it is one of win rates or accuracies, else in nats. A win rate is
against a second draw of the supervised model on the evaluation set, less the supervised model's own. At equal
KL a seed counts where the arm's KL lies on the line. Who judges:

- gold: the gold utility
- people: three simulated people a pair

The judgements of an arm are those that it and the arms before it learnt from. A dash stands where there is no
interval: with fewer than two seeds, or with equal ones. Options were not searched for each arm (the file
says where they are from), so a difference may be one of options. Intervals of arms are at 95 %.
"""


def table(claims: Claims, found: Found) -> str:
    """The page docs/claims.md, in Markdown. found: the figures of the runs that were made."""
    rows = ["| system | claim | our figure | verdict |", "|---|---|---|---|"]
    rows += [_row(each, found) for each in claims.claims.values()]
    parts = [_part(each, found) for each in claims.claims.values()]
    return "\n".join([HEAD, *rows, "", BELOW, *parts]).rstrip() + "\n"


def _row(claim: Claim, found: Found) -> str:
    all_values = [paired(each, found) for each in claim.decides]
    judged = [
        decided(each, values, len(claim.decides))
        for each, values in zip(claim.decides, all_values, strict=True)
    ]
    figures = "<br>".join(
        _figure(each, one.interval, len(values))
        for each, one, values in zip(claim.decides, judged, all_values, strict=True)
    )
    seeds = min(map(len, all_values))
    said = verdict([one.verdict for one in judged])
    if seeds < SEEDS:
        said = f"{OPEN}: {seeds} of {SEEDS} seeds"
    return f"| {claim.name} | {claim.claim} | {figures} | {said} |"


def _figure(difference: Difference, interval: Interval | None, seeds: int) -> str:
    names = (difference.arm, _over(difference))
    more, other = reversed(names) if difference.less else names
    found = shown(interval, difference.by, signed=True)
    return f"{more}, less {other}, {difference.by}: {found} ({seeds} seed{'s' * (seeds != 1)})"


def _part(claim: Claim, found: Found) -> str:
    """The section of a claim: its experiment, what would matter, and the figures of its arms."""
    used = [each for each in MEASURES if any(each in _of(found, arm) for arm in claim.arms)]
    lines = [f"## {claim.name}", "", f"{claim.claim} ({claim.paper})", "", claim.world, ""]
    lines += [f"- {_rule(each)}" for each in claim.decides]
    lines += [f"- Told beside, and decides nothing: {_told(each, found)}." for each in claim.shows] + [""]
    if used:
        lines += [f"| arm | seeds | {' | '.join(HEADS[each] for each in used)} |"]
        lines += ["|---" * (len(used) + 2) + "|"]
    for arm in claim.arms if used else ():
        figures = _of(found, arm)
        cells = [_cell(figures[each], each) if each in figures else "" for each in used]
        seeds = max((len(each) for each in figures.values()), default=0)
        lines.append(f"| {arm} | {seeds} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""] if used else lines)


def _told(difference: Difference, found: Found) -> str:
    """A difference with its interval at 95 %."""
    values = paired(difference, found)
    return _figure(difference, over_seeds(values), len(values))


def _cell(values: list[float], measure: str) -> str:
    """A measure over seeds. Judgements are counted and not estimated, so their mean stands alone."""
    if measure == "judgements":
        return f"{sum(values) / len(values):,.0f}"
    return shown(over_seeds(values), measure)


def _rule(difference: Difference) -> str:
    sign, by = "less" if difference.less else "more", difference.by
    matters, beyond = (_number(each, by) for each in (difference.matters, difference.beyond))
    said = f"{difference.arm} has {sign} {by} than {_over(difference)}."
    return f"{said} Shown beyond {beyond}; what would matter begins at {matters}."


def _over(difference: Difference) -> str:
    """What an arm is compared with, in words."""
    if difference.at_equal is None:
        return difference.others[0]
    return f"the line through {len(difference.others)} arms, at equal {difference.at_equal}"


def _of(found: Found, arm: str) -> dict[str, list[float]]:
    """The figures of an arm by measure, over the seeds that have it."""
    figures: dict[str, list[float]] = {}
    for _, arms in sorted(found.items()):
        for name, value in arms.get(arm, {}).items():
            figures.setdefault(name, []).append(value)
    return figures


def shown(interval: Interval | None, measure: str, signed: bool = False) -> str:
    """A mean with its interval; a dash where there is none."""
    if interval is None:
        return "–"
    ends = (interval.value, interval.low, interval.high)
    mean, low, high = (_number(each, measure, signed) for each in ends if each is not None)
    return f"{mean} [{low}, {high}]"


def _number(value: float, measure: str, signed: bool = False) -> str:
    plus = "+" if signed else ""
    return f"{100 * value:{plus}.1f}" if measure in SHARES else f"{value:{plus}.3f}"
