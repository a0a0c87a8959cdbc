"""The chapters of a study: simulators beside people, methods in both worlds, over-optimisation."""

from __future__ import annotations

import pandas as pd

from farm.pages.report import figures
from farm.pages.report.content import Headline, Section, Table
from farm.studies.results import PEOPLE, SIMULATORS, Annotators, Rate, StudyResults


def study_headlines(results: StudyResults) -> list[Headline]:
    """A headline with the rank correlation; none where there is no correlation."""
    if results.ranking is None:
        return []
    found = results.ranking
    words = (
        f"Spearman's correlation of {found.methods} methods, trained on and judged by simulators against"
        f" people; 95 % interval {found.spearman.low:.2f} to {found.spearman.high:.2f}"
    )
    return [Headline(f"{found.spearman.value:.2f}", "How alike simulators and people rank methods", words)]


def study_summary(results: StudyResults) -> list[str]:
    """The findings of the study in sentences."""
    said = []
    if found := results.ranking:
        said.append(
            f"Of {found.methods} methods, simulators alone would have given a ranking that correlates with"
            f" people's at {found.spearman.value:.2f}; people can tell"
            f" {100 * found.resolved_by_people:.0f} % of the pairs of methods apart, and what they cannot"
            " tell apart nobody can rank."
        )
    best = max(results.rates(PEOPLE, PEOPLE).items(), key=lambda each: each[1].value, default=None)
    if best is not None:
        method, rate = best
        said.append(
            f"Trained on and judged by people, {method} does best: {_said(rate)} against {results.baseline}."
        )
    return said


def study_sections(results: StudyResults) -> list[Section]:
    """The chapter of methods, with those of annotators and over-optimisation where they were studied."""
    sections = [] if results.annotators is None else [_annotators(results.annotators)]
    sections.append(_methods(results))
    if results.curves:
        sections.append(_curves(results))
    return sections


def _methods(results: StudyResults) -> Section:
    worlds = list(dict.fromkeys((each.trained_on, each.judged_by) for each in results.judged))
    data = pd.DataFrame(
        [
            {
                "method": each.method,
                "trained_on": each.trained_on,
                "judged_by": each.judged_by,
                "win_rate": each.win_rate.value,
                "low": each.win_rate.low,
                "high": each.win_rate.high,
                "n": each.n,
                "n_failed": each.n_failed,
            }
            for each in results.judged
        ]
    )
    drawn = [figures.win_rates(data)]
    both = _both(results)
    if len(both):
        drawn.append(
            figures.ranking_scatter(both, results.ranking.spearman.value if results.ranking else None)
        )
    methods = list(dict.fromkeys(each.method for each in results.judged))
    rows = [[method, *(_said(results.rates(*world).get(method)) for world in worlds)] for method in methods]
    columns = ("method", *(f"on {trained}, by {judged}" for trained, judged in worlds))
    numeric = (False, *(True for _ in worlds))
    table = Table(f"Win rates against {results.baseline}, 95 % intervals", columns, rows, numeric)
    sentences = [f"Every method was trained on each kind of feedback and judged against {results.baseline}."]
    if results.ranking is not None:
        found = results.ranking
        sentences.append(
            f"Of the pairs of methods people tell {100 * found.resolved_by_people:.0f} % apart and simulators"
            f" {100 * found.resolved_by_simulators:.0f} %; what lies inside the noise cannot be ranked."
        )
    tables = tuple(filter(None, (table, _gains(results, worlds))))
    return Section(
        name="methods", heading="Methods", sentences=tuple(sentences), figures=tuple(drawn), tables=tables
    )


def _gains(results: StudyResults, worlds: list[tuple[str, str]]) -> Table | None:
    """Points of win rate of each method above the supervised model; None where that was not judged."""
    found = {
        (each.method, each.trained_on, each.judged_by): each.gain
        for each in results.judged
        if each.gain is not None
    }
    methods = list(dict.fromkeys(method for method, *_ in found))
    if not methods:
        return None
    rows = [[method, *(_points(found.get((method, *world))) for world in worlds)] for method in methods]
    columns = ("method", *(f"on {trained}, by {judged}" for trained, judged in worlds))
    caption = "Points of win rate over the supervised model, paired by instruction, 95 % intervals"
    return Table(caption, columns, rows, (False, *(True for _ in worlds)))


def _both(results: StudyResults) -> pd.DataFrame:
    people, simulators = (results.rates(world, world) for world in (PEOPLE, SIMULATORS))
    rows = [
        {
            "method": method,
            "simulators": simulators[method].value,
            "simulators_low": simulators[method].low,
            "simulators_high": simulators[method].high,
            "people": people[method].value,
            "people_low": people[method].low,
            "people_high": people[method].high,
        }
        for method in people
        if method in simulators
    ]
    return pd.DataFrame(rows)


def _curves(results: StudyResults) -> Section:
    frame = pd.DataFrame(
        [
            {
                "study": each.curve,
                "curve": each.feedback,
                "level": each.level,
                "sqrt_kl": each.sqrt_kl,
                "gold": each.gold.value,
                "low": each.gold.low,
                "high": each.gold.high,
                "proxy": each.proxy,
            }
            for each in results.curves
        ]
    )
    labels = ("square root of KL from SFT, in nats", "gold utility")
    drawn = [
        figures.curves(
            f"over-optimisation-{study}",
            f"Over-optimisation: {study}",
            part.drop(columns="study"),
            x="sqrt_kl",
            y="gold",
            labels=labels,
        )
        for study, part in frame.groupby("study", sort=False)
    ]
    words = (
        "The known truth of the answers against how far the policy has moved, for reward models from several"
        " kinds of feedback. Where a curve turns down, more optimisation makes the answers worse."
    )
    peaks = []
    for (study, curve), part in frame.groupby(["study", "curve"], sort=False):
        top = part.sort_values("gold").iloc[-1]
        end = "its end" if top["sqrt_kl"] == part["sqrt_kl"].max() else f"{top['level']:g}, before its end"
        peaks.append(f"{study} by {curve} is highest at {end}")
    said = f"{'; '.join(peaks)}. The bands say how sure that is."
    rows = [
        [
            each.curve,
            each.feedback,
            f"{each.peak:g}",
            f"{each.last:g}",
            _change(each.drop),
            "yes" if each.turned else "not shown",
        ]
        for each in results.turns
    ]
    columns = ("optimised by", "reward model of", "best at", "furthest", "change to there", "turns down")
    caption = "Change of the gold utility from its peak to the strongest optimisation, paired by instruction"
    tables = (Table(caption, columns, rows, (False, False, True, True, True, False)),) if rows else ()
    return Section(
        name="over-optimisation",
        heading="Over-optimisation",
        sentences=(words, said),
        figures=tuple(drawn),
        tables=tables,
    )


def _change(drop: Rate) -> str:
    return f"{drop.value:+.2f} [{drop.low:+.2f}, {drop.high:+.2f}]"


def _annotators(found: Annotators) -> Section:
    """The chapter that compares simulators with people as in AlpacaFarm's section 4.2."""
    price = "unknown" if found.price_per_1000 is None else f"$ {found.price_per_1000:.2f}"
    rows = [
        ["agreement with people", _said(found.people), _said(found.simulators)],
        ["variance", f"{100 * found.people_variance:.1f} %", _said(found.simulators_variance)],
        ["bias", "0 by definition", _said(found.simulators_bias)],
        ["price of 1,000 judgements", f"$ {found.crowd_price_per_1000:.0f}", price],
    ]
    words = (
        "Agreement is with the majority of other people, variance the disagreement with one's own other"
        " judgements, bias the error of the simulators' majority. People's price is what AlpacaFarm paid a"
        " crowd."
    )
    caption = f"Simulators beside people on {found.pairs:,} pairs, 95 % intervals"
    table = Table(caption, ("", "people", "simulators"), rows, (False, True, True))
    return Section(
        name="simulators",
        heading="Do simulators judge as people do?",
        sentences=(words,),
        figures=(),
        tables=(table,),
    )


def _points(gain: Rate | None) -> str:
    return "" if gain is None else f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"


def _said(rate: Rate | None) -> str:
    return "" if rate is None else f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
