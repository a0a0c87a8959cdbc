"""The parts of an audit that are asked for by a flag, or that need strengths, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from rich.console import RenderableType
from rich.text import Text

from farm.evaluation.audit_report import AuditReport
from farm.evaluation.benchmark_rules import SCORE
from farm.evaluation.drift_audit import Drift
from farm.evaluation.family_audit import FamilyAudit
from farm.evaluation.pair_audit import PairAudit
from farm.evaluation.strength_audit import StrengthAudit
from farm.evaluation.trait_audit import PLACE, Reward, TraitAudit
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import answer
from farm.terminal.common import number, plain, rate, table

TRAITS = """
What each annotator rewards: log-odds for one standard deviation more, all else equal.
*: shown not to be 0. !: shown to differ from people on the same questions"""
DRIFT = """
Drift: the same pairs, judged again after another model began to answer"""
FAMILIES = """
Outputs of a judge's own family (taught: of models that learnt from it), on the same pairs: shares of votes.
lead: own less others. beyond: less the lead of other outputs against the same opponents. *: not 0"""


def benchmark(report: AuditReport) -> Iterator[RenderableType]:
    """What a benchmark's own rule makes of each judge, beside our agreement."""
    found = report.benchmark
    if found is None:
        return
    agreement = {each.name: each.measures["agreement"] for each in report.whole.annotators}
    if not found.rows:
        yield Text(f"\nNobody judged {found.name} beside its reference.")
        return
    partly = "" if found.prompts >= found.size else f" of {found.size:,}"
    yield Text(
        f"\n{found.name} by its own rule; the ledger holds {found.prompts:,}{partly} prompts. "
        f"(part): not the benchmark's number,\nsince the judge judged a part of it. ours: agreement"
    )
    orders = ["both orders#"] if found.in_orders else []
    yield (rows := table("annotator", "judged#", *orders, "score#", "ours#"))
    for row in found.rows:
        both = [f"{row.in_both_orders:,}"] if found.in_orders else []
        score = rate(row.figures[SCORE]) or "not defined"
        part = "" if found.is_whole(row) else " (part)"
        ours = rate(agreement[row.annotator])
        rows.add_row(plain(row.annotator), f"{row.judged:,}", *both, score + part, ours)
    names = [name for row in found.rows[:1] for name in row.figures if name != SCORE]
    if names:
        yield Text("")
        yield (parts := table("annotator", *(f"{name}#" for name in names)))
        for row in found.rows:
            parts.add_row(plain(row.annotator), *(number(row.figures[name]) for name in names))


def traits(found: TraitAudit | None) -> Iterator[RenderableType]:
    """What each annotator rewards: the log-odds of each trait, marked where they differ from 0 and people."""
    if found is None:
        return
    told = [
        name
        for name in (*found.scales, PLACE)
        if any(row.rewards[name].effect.value is not None for row in found.rows)
    ]
    yield Text(TRAITS)
    rows = table("annotator", "n#", *(f"{name}#" for name in told))
    for row in found.rows:
        rows.add_row(plain(row.annotator), f"{row.n:,}", *(_effect(row.rewards[name]) for name in told))
    yield rows
    for row in found.rows:
        if row.refused:
            yield plain(f"No model of {row.annotator}: {row.refused}.")


def _effect(reward: Reward) -> str:
    """A log-odds, with * where it is shown not to be 0 and ! where it is shown not to be people's."""
    if reward.effect.value is None:
        return ""
    marks = ("*" if _is_apart(reward.effect) else "", "!" if _is_apart(reward.over_people) else "")
    return f"{reward.effect.value:+.2f}{''.join(marks)}"


def _is_apart(interval: Interval) -> bool:
    return answer(interval) in ("yes", "no")


def odd_pairs(found: PairAudit | None) -> Iterator[RenderableType]:
    """Pairs whose outputs are alike, and annotators that contradict themselves."""
    if found is None:
        return
    yield Text(f"\nOf {found.pairs:,} pairs the outputs are alike in")
    rows = table("likeness", "pairs#", "ties#", "such as")
    for each in found.alike:
        some = ", ".join(f"pair:{pair}" for pair in each.examples)
        rows.add_row(str(each.kind), f"{each.pairs:,}", rate(each.ties), some)
    yield rows if found.alike else Text("none")
    if found.cycles:
        yield Text("\nThree outputs of which each beats the next; a coin makes 0.25 of all triads such")
        rows = table("annotator", "triads#", "cycles#", "share#")
        for one in found.cycles:
            rows.add_row(plain(one.annotator), f"{one.triads:,}", f"{one.cycles:,}", rate(one.share))
        yield rows


def strengths(found: StrengthAudit | None) -> Iterator[RenderableType]:
    """How far those agree who say how much better, and how right they are when they are sure."""
    if found is None:
        return
    people = "" if found.alpha.value is None else f"; people with each other {rate(found.alpha)}"
    yield Text(f"\nHow much better: alpha on the ordinal scale{people}")
    by = sorted({name for row in found.rows for name in row.by_strength}, key=Fraction)
    rows = table("annotator", "n#", "alpha#", *(f"right at {name}#" for name in by))
    for row in found.rows:
        right = (rate(row.by_strength[name]) if name in row.by_strength else "" for name in by)
        rows.add_row(plain(row.annotator), f"{row.n:,}", rate(row.alpha), *right)
    yield rows


def families(found: FamilyAudit | None) -> Iterator[RenderableType]:
    """What each judge makes of outputs of its own family, beside the others."""
    if found is None:
        return
    if found.rows:
        yield Text(FAMILIES)
        rows = table("annotator", "kin", "against", "pairs#", "own#", "others#", "lead#", "beyond#")
        for row in found.rows:
            own, others, lead, beyond = row.found
            marked = (f"{rate(each)}{'*' if _is_apart(each) else ''}" for each in (lead, beyond))
            about = (plain(row.annotator), row.kin, plain(row.against), f"{row.pairs:,}")
            rows.add_row(*about, rate(own), rate(others), *marked)
        yield rows
    else:
        yield Text("\nNo judge of a known family judged, beside others, an output of its own family.")
    if found.unknown:
        names = ", ".join(found.unknown)
        yield plain(f"Judges of unknown family, compared with nobody (--family NAME=FAMILY): {names}.")


def drifts(found: Sequence[Drift] | None) -> Iterator[RenderableType]:
    """What changed in each annotator, from one model that answered to the next."""
    if found is None:
        return
    if not found:
        yield Text("\nDrift: no annotator judged the same pairs while two models answered under its name.")
        return
    yield Text(DRIFT)
    for each in found:
        retest = f", two of the same model {rate(each.retest)}" if each.retest.value is not None else ""
        yield plain(
            f"{each.annotator}, from {each.before} to {each.after}, on {each.pairs:,} pairs: "
            f"verdicts differ {rate(each.changed)}{retest}"
        )
        rows = table("share", "before#", "change#", "lost#", "gained#", "McNemar's p#")
        for name, shift in each.shifts.items():
            p = "" if shift.p is None else f"{shift.p:.2g}"
            counts = (f"{shift.lost:,}", f"{shift.gained:,}")
            rows.add_row(name, f"{shift.before:.3f}", rate(shift.change), *counts, p)
        yield rows
