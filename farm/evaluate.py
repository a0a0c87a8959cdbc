"""How good is a model, and how sure are we? `farm evaluate MODEL --against REFERENCE --annotator A`.

Samples what is missing, pairs it with the reference's outputs, lets the annotator judge, and counts. It owns
no judging and no statistics: outputs, pairs and judgements are rows of the ledger like all others, so a
second call samples, asks and pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from db import outputs
from db.contests import members
from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.outputs import Source
from farm.annotate import AnnotateReport, Provider, Task, annotate
from farm.leaderboard import LeaderboardOptions, against, judged_pairs, leaderboard
from farm.leaderboard_report import Place, bounds, percent
from farm.pair import PairTask, pair
from farm.sample import SampleTask, sample
from farm.statistics.win_rates import WinRate, win_rates

PAIRS = "evaluate"  # the source that the pairs stand under; their subset is the model
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class EvaluateTask:
    """What is evaluated. model, against: producers of the ledger, or models that are sampled from.

    sampling: how, with its set and number of draws; judging: replicates and orders; board: controls,
    difficulty, draws and seed of the statistics (its annotator and reference are filled in).
    """

    model: str
    against: str
    annotator: str
    sampling: SampleTask
    judging: Task = field(default_factory=Task)
    board: LeaderboardOptions = field(default_factory=lambda: LeaderboardOptions(""))


@dataclass(frozen=True)
class Evaluation:
    """The model's place, as on a leaderboard; categories: its win rate in each of the set's categories."""

    annotator: str
    reference: str
    set_name: str
    difficulty: str
    place: Place
    categories: dict[str, WinRate]
    judged: AnnotateReport
    sampled: int  # outputs drawn by this call

    def to_json(self) -> Json:
        place = self.place.to_json()
        assert isinstance(place, dict)
        kept = {
            name: value for name, value in place.items() if name not in ("cluster", "best_rank", "worst_rank")
        }
        return {
            **kept,
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


def evaluate(
    ledger: Ledger,
    task: EvaluateTask,
    provider: Provider,
    progress: Progress,
    sampler: Provider | None = None,
) -> Evaluation:
    """Evaluate a model. provider: of the judge; sampler: of the model, where a server runs it.

    Raises ConfigError where the set is empty, a model is neither known nor loadable, or nothing could be
    judged; RunStopped where a provider or a budget ends the run early: run again, it goes on.
    """
    ours, drawn = _source(ledger, task.model, task.sampling, progress, sampler)
    theirs, more = _source(ledger, task.against, replace(task.sampling, producer=""), progress, None)
    set_name = task.sampling.set_name
    name = f"{PAIRS} {set_name}"
    pair(ledger, PairTask(name, (ours,), set_name, theirs))
    mine = _pairs_of(ledger, name, ours, theirs)
    filtered = replace(task.judging, pairs=PairFilter(source=name, subset=ours.producer))
    judged = annotate(ledger, task.annotator, filtered, progress, provider)
    board = replace(task.board, annotator=judged.annotator, reference=theirs.producer, set_name=set_name)
    found = leaderboard(ledger, replace(board, source=name, pairs=mine))
    [place] = [each for each in found.places if each.model == ours.producer]
    return Evaluation(
        judged.annotator, theirs.producer, set_name, found.difficulty, place,
        _categories(ledger, replace(board, source=name, pairs=mine), ours.producer), judged, drawn + more,
    )  # fmt: skip


def _source(
    ledger: Ledger, model: str, task: SampleTask, progress: Progress, sampler: Provider | None
) -> tuple[Source, int]:
    """Whose outputs these are, and how many had to be drawn: none of a producer that the ledger knows."""
    known = outputs.latest(ledger, model)
    if known.decoding is not None and sampler is None:
        if not any(True for _ in outputs.outputs_of(ledger, known, task.set_name)):
            raise ConfigError(
                f"{model!r} has no outputs to {task.set_name!r}", remedy="`farm sample` makes some"
            )
        return known, 0
    report = sample(ledger, model, task, progress, sampler)
    return report.source, report.new


def _pairs_of(ledger: Ledger, name: str, ours: Source, theirs: Source) -> frozenset[int]:
    """The pairs of these very outputs: those of an earlier training under the same name stay out."""
    wanted = {(source.producer, source.decoding) for source in (ours, theirs)}
    found = ledger.pairs(PairFilter(source=name, subset=ours.producer))
    made = [
        each.id
        for each in found
        if {(o.producer, o.decoding) for o in (each.output_a, each.output_b)} <= wanted
    ]
    if not made:
        raise ConfigError("the two models answered no instruction in common", where=name)
    return frozenset(made)


def _categories(ledger: Ledger, board: LeaderboardOptions, model: str) -> dict[str, WinRate]:
    """Win rates by category of instruction; none where the set has fewer than two."""
    rows = members(ledger)
    rows = rows[rows["set_name"] == board.set_name].dropna(subset="category")
    if rows["category"].nunique() < 2:
        return {}
    frame = against(judged_pairs(ledger, board), str(board.reference))
    named = frame.merge(rows[["instruction", "category"]].drop_duplicates(), on="instruction")
    told = named.groupby("category")["preference"].transform(lambda each: each.notna().any())
    found = win_rates(named[told & (named["model"] == model)], "category")
    return dict(sorted(found.items()))
