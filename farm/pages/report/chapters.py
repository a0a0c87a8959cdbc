"""The chapters that come straight from the ledger: training, reward models, costs, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from statsmodels.stats.proportion import proportion_confint

from db.ledger import Ledger
from db.queries import history, training
from db.queries.costs import Spent, paid_in_all, spent, spent_on_proposals
from db.queries.history import Trained
from db.records import AnnotatorKind
from farm.pages.report import figures
from farm.pages.report.content import Section, Table
from farm.pages.report.drawing import PHONE

ANNOTATORS = 60  # so many are listed
CURVES = 6  # so many runs of a method are drawn
TELLING = {  # the first of these that a method logs is drawn
    "objective/scores": "the reward model's score",
    "eval/rewards/accuracies": "accuracy on held-out pairs",
    "rewards/accuracies": "accuracy on the step's pairs",
    "loss": "loss",
}


def training_curves(ledger: Ledger) -> Section | None:
    """A figure for each method with one metric of its last runs; None where nothing was logged."""
    runs = {each.id: each for each in history.runs(ledger)}
    logged = history.metrics(ledger)
    logged = logged[logged["name"].isin(TELLING)]
    if logged.empty:
        return None
    method_of = {number: each.run.command.removeprefix("train ") for number, each in runs.items()}
    drawn = []
    for method, rows in logged.groupby(logged["run"].map(method_of), sort=False):
        steps = rows.groupby(["name", "run"])["step"].nunique().groupby("name").max()
        name = next((each for each in TELLING if steps.get(each, 0) > 1), None)
        if name is None:
            continue
        ids = list(rows["run"].unique())[-CURVES:]
        data = rows[(rows["name"] == name) & rows["run"].isin(ids)]
        data = data.assign(curve=data["run"].map(lambda run: _called(runs[run])))[["curve", "step", "value"]]
        labels, title = ("step", TELLING[name]), f"{method}: {TELLING[name]}"
        drawn.append(
            figures.curves(
                f"training-{method}", title, data, x="step", y="value", labels=labels, size=(PHONE, 2.8)
            )
        )
    words = f"{len(runs):,} runs. Of methods that sample, the reward model's score; else accuracy or loss."
    return Section("training", "Training", (words,), tuple(drawn), compact=True)


def _called(trained: Trained) -> str:
    """A run by its number and the end of its folder: people/ppo."""
    return f"run {trained.id}: {'/'.join(Path(trained.run.folder).parts[-2:])}"


def calibration(ledger: Ledger) -> Section | None:
    """Reliability curves and held-out figures of reward models; None where there are none."""
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
    low, high = proportion_confint(data["observed"] * data["n"], data["n"], method="wilson")
    data = data.assign(curve=data["run"].map(names), low=low, high=high)
    data = data[["curve", "predicted", "observed", "low", "high", "n"]]
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
    words = (
        "A reward model's probability that an output is preferred, against how often it was, on labels that"
        " it has not seen; where labels carry noise, so do these. ece is the expected calibration error."
    )
    return Section(
        name="reward-models",
        heading="Reward models",
        sentences=(words,),
        figures=(figures.calibration(data),),
        tables=(held_out,),
    )


def costs(ledger: Ledger) -> Section | None:
    """What was paid for judging, by annotator, in US dollars; None where nobody was asked."""
    proposed = spent_on_proposals(ledger)
    paid = [*spent(ledger), *([proposed] if proposed else [])]
    if not paid:
        return None
    rows = [
        [
            each.annotator,
            f"{each.judgements:,}",
            f"{each.requests:,}",
            f"{each.prompt_tokens:,}",
            f"{each.completion_tokens:,}",
            _price(each),
        ]
        for each in paid
    ]
    words = (
        f"${paid_in_all(ledger):,.2f} in all at list prices. A reply that two annotators read was paid once;"
        " it stands in the rows of both."
    )
    if proposed:
        words += " The proposer wrote rules for judges, and judged nothing."
    columns = ("annotator", "judgements", "requests", "prompt tokens", "reply tokens", "cost")
    table = Table("What judging took", columns, rows, (False, *(True for _ in columns[1:])))
    return Section(name="costs", heading="Costs", sentences=(words,), figures=(), tables=(table,))


def _price(each: Spent) -> str:
    """The known cost in US dollars, and how many replies have an unknown price."""
    if each.unpriced == 0:
        return f"${each.cost:,.4f}"
    unknown = f"{each.unpriced:,} replies of unknown price"
    return f"${each.cost:,.4f} and {unknown}" if each.cost else unknown


def provenance(ledger: Ledger) -> Section:
    """Counts of the ledger, snapshots, training runs, and annotators by fingerprint."""
    counts = [[fact, f"{number:,}"] for fact, number in ledger.counts().items() if number]
    tables = [Table("What the ledger holds", ("fact", "number"), counts, (False, True))]
    if frozen := training.snapshots(ledger):
        rows = [[card.name, f"{card.rows:,}", card.key, card.choice] for card in frozen]
        heads = ("name", "judgements", "hash", "choice")
        tables.append(Table("Snapshots", heads, rows, (False, True, False, False)))
    if runs := history.runs(ledger):
        rows = [_run(each, runs) for each in runs]
        columns = ("run", "command", "from", "data", "seed", "steps", "version", "began")
        numeric = (False, False, False, False, True, True, False, False)
        tables.append(Table("Runs", columns, rows, numeric, folded=len(rows) > CURVES))
    cards = ledger.annotators()
    judges = [[card.name, str(card.kind), card.key] for card in cards if card.kind is not AnnotatorKind.HUMAN]
    if judges:
        people = len(cards) - len(judges)
        title = "Annotators by fingerprint" + (f"; {people} people are not listed" if people else "")
        tables.append(
            Table(title, ("name", "kind", "hash"), judges[:ANNOTATORS], folded=len(judges) > CURVES)
        )
    words = "The command farm trace walks from any of these back to prompts, replies and seeds."
    return Section(
        name="provenance", heading="Where it came from", sentences=(words,), figures=(), tables=tuple(tables)
    )


def _run(each: Trained, runs: Sequence[Trained]) -> list[str]:
    run = each.run
    parent = history.parent(each, runs)
    return [
        str(each.id),
        run.command,
        run.model if parent is None else f"run {parent.id}",
        each.snapshot or run.set_name or "",
        str(run.seed),
        "" if each.steps is None else f"{each.steps:,}",
        run.version,
        run.started[:16].replace("T", " "),
    ]
