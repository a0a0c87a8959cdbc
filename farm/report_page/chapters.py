"""The chapters of a report, each from what a verb found or from the ledger's own rows."""

from __future__ import annotations

import pandas as pd

from db import history, training
from db.costs import spent
from db.ledger import Ledger
from farm.audit_report import HEADLINES, AnnotatorAudit, AuditReport
from farm.report_page import figures
from farm.report_page.content import Headline, Section, Table
from farm.statistics.bootstrap import Interval

SIMULATED = ("llm", "rm")
PEOPLE = 8  # drawn one by one; a crowd is in the table
ANNOTATORS = 60  # shown; the audit's own CSV has all
CURVES = 6  # runs whose loss is drawn, for each method


def share(interval: Interval) -> str:
    """65.1 % [63.0, 67.2]"""
    if interval.value is None:
        return ""
    if interval.low is None or interval.high is None:
        return f"{100 * interval.value:.1f} %"
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def percent(interval: Interval) -> str:
    """65.1 %"""
    return "" if interval.value is None else f"{100 * interval.value:.1f} %"


def annotator_headlines(report: AuditReport) -> list[Headline]:
    """People with each other, and the simulated annotator that is nearest to them."""
    people = report.whole.reference.measures["agreement"]
    found = []
    if people.value is not None:
        words = "one person against the majority of the others, on the same pairs"
        found.append(Headline(f"{100 * people.value:.0f} %", "People agree with people", words))
    best = _best(report)
    if best is not None and best.measures["agreement"].value is not None:
        agreement = best.measures["agreement"].value
        price = "" if best.price_per_1000 is None else f", at ${best.price_per_1000:.2f} per 1,000"
        words = f"{best.name}, the nearest to people of the simulated annotators{price}"
        found.append(Headline(f"{100 * agreement:.0f} %", "Simulators agree with people", words))
    return found


def _best(report: AuditReport) -> AnnotatorAudit | None:
    simulated = [each for each in report.whole.annotators if each.kind in SIMULATED]
    told = [each for each in simulated if each.measures["agreement"].value is not None]
    return max(told, key=lambda each: each.measures["agreement"].value or 0.0, default=None)


def annotators(report: AuditReport) -> Section:
    """Who agrees with whom, at what price, with which leanings."""
    reference = report.whole.reference
    shown = sorted(report.whole.annotators, key=lambda each: -(each.measures["agreement"].value or 0.0))
    sentences = [
        f"{len(report.whole.annotators)} annotators; the reference is {reference.name}: "
        f"{reference.annotators} annotators with {reference.n:,} judgements of {reference.units:,} questions."
        if reference.units
        else "No person and no gold standard judged here, so nobody can be compared with people.",
        "Agreement is with the majority of people, ties between them counting a half. Variance is how often"
        " an annotator leaves its own majority; bias is what is left of the disagreement when its noise is"
        " averaged out. First, longer and list say how often it prefers the output that is so.",
    ]
    data = pd.DataFrame(
        [
            {
                "annotator": each.name,
                "kind": each.kind,
                "agreement": each.measures["agreement"].value,
                "low": each.measures["agreement"].low,
                "high": each.measures["agreement"].high,
                "price": each.price_per_1000,
            }
            for each in _drawn(shown)
        ],
        columns=["annotator", "kind", "agreement", "low", "high", "price"],
    )
    people = reference.measures["agreement"].value
    drawn = (figures.agreement_against_price(data, people),) if len(data) else ()
    return Section("annotators", "Annotators against people", tuple(sentences), drawn, (_table(shown),))


def _drawn(shown: list[AnnotatorAudit]) -> list[AnnotatorAudit]:
    """Those with a figure; people only where they are few: the line says how they agree on the whole."""
    told = [each for each in shown if each.measures["agreement"].value is not None]
    others = [each for each in told if each.kind != "human"]
    return (told if len(told) - len(others) <= PEOPLE else others)[:ANNOTATORS]


MEASURES = {
    "agreement": "agreement",
    "accuracy": "accuracy",
    "bias": "bias",
    "variance": "variance",
    "position_bias": "first",
    "length_bias": "longer",
    "list_bias": "list",
}


def _table(shown: list[AnnotatorAudit]) -> Table:
    """Columns in which nobody has a figure are left out; the first two measures carry their intervals."""
    told = [name for name in MEASURES if any(each.measures[name].value is not None for each in shown)]
    priced = any(each.price_per_1000 is not None for each in shown)
    rows = [
        [
            each.name,
            each.kind,
            f"{each.n:,}",
            *((share if name in HEADLINES else percent)(each.measures[name]) for name in told),
            *([f"${each.price_per_1000:,.2f}" if each.price_per_1000 is not None else ""] if priced else []),
        ]
        for each in shown[:ANNOTATORS]
    ]
    prices = ("per 1,000",) if priced else ()
    columns = ("annotator", "kind", "judgements", *(MEASURES[name] for name in told), *prices)
    numeric = (False, False, *(True for _ in columns[2:]))
    return Table("All annotators; intervals are 95 %, by question", columns, rows, numeric)


def training_curves(ledger: Ledger) -> Section | None:
    """The loss of each run, by method."""
    runs = {each.id: each for each in history.runs(ledger)}
    losses = history.metrics(ledger).query("name == 'loss'")
    if losses.empty:
        return None
    by_method: dict[str, list[int]] = {}
    for run in losses["run"].unique():
        by_method.setdefault(runs[int(run)].run.command.removeprefix("train "), []).append(int(run))
    drawn = []
    for method, ids in by_method.items():
        data = losses[losses["run"].isin(ids[-CURVES:])]
        data = data.assign(curve=[f"run {run}" for run in data["run"]])[["curve", "step", "value"]]
        title = f"Training: {method}"
        labels = ("step", "loss")
        drawn.append(figures.curves(f"training-{method}", title, data, x="step", y="value", labels=labels))
    return Section("training", "Training", (f"{len(runs):,} runs.",), tuple(drawn))


def calibration(ledger: Ledger) -> Section | None:
    """How far the reward models' probabilities can be believed."""
    runs = {each.id: each for each in history.runs(ledger)}
    found = history.metrics(ledger)
    points = found[found["name"].str.startswith("calibration/")]
    if points.empty:
        return None
    parts = points["name"].str.split("/", expand=True)
    table = points.assign(bin=parts[1], what=parts[2]).pivot_table(
        index=["run", "bin"], columns="what", values="value"
    )
    data = table.reset_index().query("predicted >= 0.5")
    names = {run: f"run {run}: {runs[run].snapshot or runs[run].run.model}" for run in data["run"].unique()}
    data = data.assign(curve=data["run"].map(names))[["curve", "predicted", "observed", "n"]]
    accuracy = found[found["name"].isin(["held_out/accuracy", "held_out/ece"])]
    rows = [
        [
            names.get(run, f"run {run}"),
            *(f"{values.get(name, float('nan')):.3f}" for name in accuracy["name"].unique()),
        ]
        for run, values in (
            (run, dict(zip(part["name"], part["value"], strict=True)))
            for run, part in accuracy.groupby("run")
        )
    ]
    columns = ("reward model", *(name.removeprefix("held_out/") for name in accuracy["name"].unique()))
    held_out = Table("On held-out pairs", columns, rows, (False, *(True for _ in columns[1:])))
    words = "A reward model's probability that an output is preferred, against how often it was."
    return Section("reward-models", "Reward models", (words,), (figures.calibration(data),), (held_out,))


def costs(ledger: Ledger) -> Section | None:
    """What was paid, by annotator."""
    paid = spent(ledger)
    if not paid:
        return None
    rows = [
        [
            each.annotator,
            f"{each.judgements:,}",
            f"{each.requests:,}",
            f"{each.prompt_tokens:,}",
            f"{each.completion_tokens:,}",
            f"${each.cost:,.4f}"
            + (f" and {each.unpriced:,} requests of unknown price" if each.unpriced else ""),
        ]
        for each in paid
    ]
    total = sum(each.cost for each in paid)
    words = f"${total:,.4f} in all, where prices are known; a reply that two annotators read counts for both."
    columns = ("annotator", "judgements", "requests", "prompt tokens", "reply tokens", "cost")
    table = Table("What judging took", columns, rows, (False, *(True for _ in columns[1:])))
    return Section("costs", "Costs", (words,), (), (table,))


def provenance(ledger: Ledger) -> Section:
    """Where everything came from."""
    counts = ledger.counts()
    held = Table(
        "What the ledger holds", ("fact", "number"), [[k, f"{v:,}"] for k, v in counts.items()], (False, True)
    )
    tables = [held]
    if frozen := training.snapshots(ledger):
        rows = [[card.name, f"{card.rows:,}", card.key, card.choice] for card in frozen]
        tables.append(
            Table("Snapshots", ("name", "judgements", "hash", "choice"), rows, (False, True, False, False))
        )
    if runs := history.runs(ledger):
        rows = [
            [
                str(each.id),
                each.run.command,
                each.run.model,
                each.snapshot or each.run.set_name or "",
                str(each.run.seed),
                "" if each.steps is None else f"{each.steps:,}",
                each.run.version,
                each.run.started,
            ]
            for each in runs
        ]
        columns = ("run", "command", "from", "data", "seed", "steps", "version", "began")
        tables.append(Table("Runs", columns, rows, (True, False, False, False, True, True, False, False)))
    cards = [[card.name, str(card.kind), card.key[:12]] for card in ledger.annotators()[:ANNOTATORS]]
    if cards:
        tables.append(Table("Annotators", ("name", "kind", "hash"), cards))
    words = "The command farm trace walks from any of these back to prompts, replies and seeds."
    return Section("provenance", "Where it came from", (words,), (), tuple(tables))
