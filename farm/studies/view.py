"""What a finished study shows a person on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from farm.studies.quickstart import Quickstart
from farm.studies.results import RankAgreement, Rate, StudyResults
from farm.validate import Validation
from farm.views import table


def quickstart_view(done: Quickstart) -> RenderableType:
    """The table of methods, the ranking's agreement, and what to look at next."""
    further = Text(
        f"\nThe whole study is in {done.ledger}, the page to look at is {done.report}."
        f"\nNext: farm --ledger {done.ledger} audit --source crossed"
        f"\n      farm --ledger {done.ledger} label --annotator YOU --source crossed --limit 20"
        "\n      docs/walkthrough.md does the same step by step, with your own models and people"
    )
    return Group(results_view(done.results), further)


def validation_view(done: Validation) -> RenderableType:
    """The table, the ranking's agreement, and what people have still to judge."""
    further = f"\nResults: {done.path}; a page of them: farm report OUT.html --study {done.path}"
    if done.awaited:
        further += f"\n{done.awaited:,} pairs await people: farm label --source evaluation, then run it again"
    return Group(results_view(done.results), Text(further))


def results_view(results: StudyResults) -> RenderableType:
    """Win rates in every world, and whether they are ranked alike."""
    parts: list[RenderableType] = [Text(f"\nWin rates in % against {results.baseline}, with 95 % intervals")]
    parts.append(_methods(results))
    if results.ranking is not None:
        parts.append(_ranking(results.ranking))
    return Group(*parts)


def _methods(results: StudyResults) -> Table:
    worlds = sorted({(each.trained_on, each.judged_by) for each in results.judged})
    rows = table("method", *(f"on {trained}, by {judged}#" for trained, judged in worlds))
    rates = {world: results.rates(*world) for world in worlds}
    for method in dict.fromkeys(each.method for each in results.judged):
        rows.add_row(method, *(_said(rates[world].get(method)) for world in worlds))
    return rows


def _ranking(found: RankAgreement) -> Text:
    rho = found.spearman
    return Text(
        f"\nTrained on and judged by simulators against people, {found.methods} methods:"
        f" Spearman {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}], Kendall {found.kendall:.2f}. People tell"
        f" {found.resolved_by_people:.0%} of the pairs of methods apart, simulators"
        f" {found.resolved_by_simulators:.0%}."
    )


def _said(rate: Rate | None) -> str:
    return "" if rate is None else f"{100 * rate.value:.1f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
