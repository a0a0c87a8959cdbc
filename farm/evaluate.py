"""Measure one model against a reference: `farm evaluate MODEL --against REFERENCE --annotator A`.

It draws the outputs that are missing, pairs them with the reference's outputs, lets the annotator judge, and
counts. Outputs, pairs and judgements are rows of the ledger like all others. So a second call samples, asks
and pays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

import pandas as pd

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.queries import outputs, training
from db.queries.contests import contests, members
from db.queries.outputs import Source
from farm.annotate import AnnotateReport, judge_by, loaded
from farm.evaluation.leaderboard_report import LeaderboardEntry, bounds, percent
from farm.evaluation.sets import EvaluationSet, choose_set
from farm.judging.provider import Provider
from farm.leaderboard import against, board_of, rate_of
from farm.models.hub import ModelError
from farm.options.evaluate import EvaluateTask as EvaluateTask
from farm.pair import PairTask, pair
from farm.progress import Progress
from farm.sample import SampleTask, sample
from farm.statistics.win_rates import WinRate

PAIRS = "evaluate"  # the source that the pairs stand under; their subset is the model
NO_OUTPUT = "no output"  # of one of the two models, so that there is no pair
UNNAMED = "none"  # the category of instructions without one


@dataclass(frozen=True)
class Evaluation:
    """The result of one evaluation.

    place: the model's figures, as on a leaderboard. categories: its win rate in each category of the set.
    failures: judgements that did not succeed, by reason; they sum to n_failed. An instruction without an
    output counts as often as the others were judged: by replicate and order.
    """

    annotator: str
    reference: str
    set_name: str
    difficulty: str
    place: LeaderboardEntry
    failures: Mapping[str, int]
    categories: Mapping[str, WinRate]
    judged: AnnotateReport
    sampled: int  # outputs drawn by this call

    def to_json(self) -> Json:
        """The result as a JSON object. Rates are in percent."""
        ranks = ("cluster", "best_rank", "worst_rank")
        figures = {name: value for name, value in self.place.to_json().items() if name not in ranks}
        return {
            **figures,
            "failures": dict(self.failures),
            "annotator": self.annotator,
            "reference": self.reference,
            "set": self.set_name,
            "difficulty": self.difficulty,
            "categories": {
                name: {
                    "win_rate": percent(rate.value),
                    "standard_error": percent(rate.standard_error),
                    "interval": bounds(rate.interval),
                    "n": rate.n,
                    "n_failed": rate.n_failed,
                }
                for name, rate in self.categories.items()
            },
            "sampled": self.sampled,
            "judged": self.judged.to_json(),
        }


@dataclass(frozen=True)
class Met:
    """The pairs of two models. name: of the source that they stand under. drawn: outputs drawn for them."""

    ours: Source
    theirs: Source
    name: str
    ids: tuple[int, ...]
    drawn: int


def evaluate(
    ledger: Ledger,
    task: EvaluateTask,
    provider: Provider,
    progress: Progress,
    sampler: Provider | None = None,
) -> Evaluation:
    """Evaluate a model. provider: of the judge. sampler: of the model, where a server runs it.

    Raises ConfigError where the set is empty, a model is neither known nor loadable, or nothing could be
    judged. Raises RunStopped where a provider or a budget ends the run early; the next call goes on.
    """
    judge = loaded(task.annotator, task.judging, provider)  # a wrong name before any work
    met = meet(ledger, task, progress, sampler)
    set_name = task.sampling.set_name
    only = _first(ledger, task.sampling)
    judging = replace(task.judging, pairs=PairFilter(ids=met.ids))
    judged = judge_by(ledger, judge, judging, progress, provider=provider)
    refuse_half(judged.elsewhere, "judgements", set_name)
    with ledger.frozen():
        [annotator] = [card.id for card in ledger.annotators() if card.key == judged.fingerprint]
        rows = contests(ledger, met.name, met.ours.producer, task.board.average_orders)
        rows = rows[(rows["annotator"] == annotator) & rows["pair_id"].isin(met.ids)]
        options = replace(
            task.board, annotator=judged.annotator, reference=met.theirs.producer, set_name=set_name
        )
        times = int(rows.groupby("pair_id").size().max())  # replicates and orders
        try:
            board = board_of(ledger, rows, options, times, only=only)
        except ConfigError as error:
            raise _with_reasons(error, judged) from None
        [place] = board.places
        asked = choose_set(members(ledger), set(rows["instruction"]), set_name, only)
        categories = _categories(against(rows, met.theirs.producer), asked, times)
    return Evaluation(
        annotator=judged.annotator,
        reference=met.theirs.producer,
        set_name=set_name,
        difficulty=board.difficulty,
        place=place,
        failures=_failures(rows, place.rate),
        categories=categories,
        judged=judged,
        sampled=met.drawn,
    )


def meet(
    ledger: Ledger,
    task: EvaluateTask,
    progress: Progress,
    sampler: Provider | None = None,
    name: str | None = None,
) -> Met:
    """Draw the outputs that are missing and pair them, under a source of this name; else that of the set.

    Raises as `evaluate` does before it asks anybody.
    """
    theirs, more = _source(
        ledger, task.against, replace(task.sampling, producer=""), progress=progress, sampler=None
    )
    ours, drawn = _source(ledger, task.model, task.sampling, progress=progress, sampler=sampler)
    if ours.producer == theirs.producer and ours != theirs:
        raise ConfigError(
            f"the model and the reference are both called {ours.producer!r}",
            remedy="give the model another name with --producer",
        )
    name = name or f"{PAIRS} {task.sampling.set_name}"
    pair(ledger, PairTask(name, (ours,), task.sampling.set_name, theirs))
    ids = pairs_of(ledger, name, ours, theirs, only=_first(ledger, task.sampling))
    return Met(ours, theirs, name, ids=ids, drawn=drawn + more)


def _source(
    ledger: Ledger, model: str, task: SampleTask, progress: Progress, sampler: Provider | None
) -> tuple[Source, int]:
    """The outputs of a model, and the number drawn now: 0 for a producer that the ledger knows."""
    known = outputs.latest(ledger, model)
    if known.decoding is not None and sampler is None:
        if not any(True for _ in outputs.outputs_of(ledger, known, task.set_name)):
            raise ConfigError(
                f"{model!r} has no outputs to {task.set_name!r}", remedy="`farm sample` makes some"
            )
        return known, 0
    try:
        report = sample(ledger, model, task, progress, provider=sampler)
    except ModelError as error:
        what = f"no producer of this ledger, and {error.what}"
        raise ConfigError(what, where=model, remedy=error.remedy) from None
    refuse_half(report.elsewhere, "outputs", set_name=task.set_name)
    return report.source, report.new


def refuse_half(elsewhere: int, what: str, set_name: str) -> None:
    """Raise ConfigError where another run is at work: a figure now would take its part for failures."""
    if elsewhere:
        raise ConfigError(
            f"another run is asking for {elsewhere:,} of these {what}",
            where=set_name,
            remedy="when it has ended, run the same command again: nothing is asked twice",
        )


def _first(ledger: Ledger, task: SampleTask) -> frozenset[str] | None:
    """The keys of the instructions that `limit` leaves; None: all of them."""
    if task.limit is None:
        return None
    return frozenset(each.key for each in islice(training.instructed(ledger, task.set_name), task.limit))


def _with_reasons(error: ConfigError, judged: AnnotateReport) -> ConfigError:
    """The error, with why replies could not be read and one of them, where that is known."""
    if judged.unreadable:
        first = judged.unreadable[0]
        said = f"; one reply: {first.reply!r}" if first.reply else ""
        error.what += f" ({first.times:,} unreadable: {first.reason}{said})"
    return error


def pairs_of(
    ledger: Ledger, name: str, ours: Source, theirs: Source, only: frozenset[str] | None
) -> tuple[int, ...]:
    """Ids of the pairs of these two sources. only: keys of the instructions that count; None: all.

    Pairs with another reference, and pairs of an earlier training under the same name, are left out.
    """
    wanted = {(source.producer, source.decoding) for source in (ours, theirs)}
    found = ledger.pairs(PairFilter(source=name, subset=ours.producer))
    made = [
        each.id
        for each in found
        if {(o.producer, o.decoding) for o in (each.output_a, each.output_b)} == wanted
        and (only is None or each.instruction.key in only)
    ]
    if not made:
        raise ConfigError("the two models answered no instruction in common", where=name)
    return tuple(made)


def _failures(rows: pd.DataFrame, rate: WinRate) -> dict[str, int]:
    """Number of judgements that did not succeed, by status."""
    counts = rows.loc[rows["preference"].isna(), "status"].value_counts()
    found = {str(status): int(count) for status, count in counts.items()}
    if missing := rate.n_failed - sum(found.values()):
        found[NO_OUTPUT] = missing
    return found


def _categories(frame: pd.DataFrame, asked: EvaluationSet, times: int) -> dict[str, WinRate]:
    """Win rates by category of instruction; none where the set has fewer than two."""
    category = asked.rows.set_index("instruction")["category"].fillna(UNNAMED)
    groups = category.index.to_series().groupby(category)
    if groups.ngroups < 2:
        return {}
    return {
        str(name): rate_of(frame[frame["instruction"].isin(ids)], list(ids) * times) for name, ids in groups
    }
