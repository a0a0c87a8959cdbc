"""The view of a finished study on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from farm.quickstart import Quickstart
from farm.studies.results import Annotators, RankAgreement, Rate, StudyResults, TurningPoint
from farm.studies.validation import SFT
from farm.terminal.common import table


def quickstart_view(done: Quickstart) -> RenderableType:
    """What was found, and what to look at next."""
    further = Text(
        f"\nThe whole study is in {done.ledger}, the page to look at is {done.report}."
        f"\nNext: farm --ledger {done.ledger} audit --source crossed"
        f"\n      farm --ledger {done.ledger} label --annotator YOU --source crossed --limit 20"
        f"\n      farm --ledger {done.ledger} export trl mine.jsonl --annotator YOU"
        "\n      docs/tutorial.md does the same step by step, with your own models and people"
    )
    return Group(results_view(done.results), further)


def results_view(results: StudyResults) -> RenderableType:
    """Annotators side by side, win rates in every world, agreement of the rankings, over-optimisation."""
    parts: list[RenderableType] = []
    if results.annotators is not None:
        parts.append(_annotators(results.annotators))
    for trained_on in dict.fromkeys(each.trained_on for each in results.judged):
        parts += [
            Text(f"\nTrained on {trained_on}: win rates in % against {results.baseline}, 95 % intervals")
        ]
        parts.append(_methods(results, trained_on))
    if results.ranking is not None:
        parts.append(_ranking(results.ranking))
    if results.turns:
        parts.append(_turns(results.turns))
    return Group(*parts)


def _annotators(found: Annotators) -> RenderableType:
    rows = table("judging the same pairs", "people#", "simulators#")
    rows.add_row("agreement with people in %", _said(found.people), _said(found.simulators))
    rows.add_row("variance in %", f"{100 * found.people_variance:.1f}", _said(found.simulators_variance))
    rows.add_row("bias in %", "0", _said(found.simulators_bias))
    price = "unknown" if found.price_per_1000 is None else f"{found.price_per_1000:.2f}"
    rows.add_row("US dollars for 1,000", f"{found.crowd_price_per_1000:.0f}", price)
    return Group(Text(f"\nAnnotators on {found.pairs:,} pairs of the validation split"), rows)


def _methods(results: StudyResults, trained_on: str) -> Table:
    """Methods by win rate among the judges of their own world."""
    judges = list(dict.fromkeys(each.judged_by for each in results.judged))
    own = trained_on if trained_on in judges else judges[0]
    rows = table("method", *(f"by {name}#" for name in judges), f"over {SFT}, by {own}#")
    rates = {name: results.rates(trained_on, name) for name in judges}
    gains = {
        each.method: each.gain
        for each in results.judged
        if (each.trained_on, each.judged_by) == (trained_on, own)
    }
    for method in sorted(rates[own], key=lambda name: -rates[own][name].value):
        said = (_said(rates[name].get(method)) for name in judges)
        rows.add_row(method, *said, _said(gains[method]))
    return rows


def _ranking(found: RankAgreement) -> Text:
    rho = found.spearman
    return Text(
        f"\nTrained on and judged by simulators against people, {found.methods} methods:"
        f" Spearman {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}], Kendall {found.kendall:.2f}. People tell"
        f" {found.resolved_by_people:.0%} of the pairs of methods apart, simulators"
        f" {found.resolved_by_simulators:.0%}."
    )


def _turns(found: Sequence[TurningPoint]) -> RenderableType:
    rows = table(
        "over-optimisation", "reward model of", "best at#", "furthest#", "change of gold to there#", ""
    )
    for each in found:
        drop, said = each.drop, "turns down" if each.turned else "no fall shown"
        rows.add_row(
            each.curve,
            each.feedback,
            f"{each.peak:g}",
            f"{each.last:g}",
            f"{drop.value:+.2f} [{drop.low:+.2f}, {drop.high:+.2f}]",
            said,
        )
    return Group(Text(), rows)


def _said(rate: Rate | None) -> str:
    return "" if rate is None else str(rate)
