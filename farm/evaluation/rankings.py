"""Do evaluators rank models alike, and what changes a ranking: annotator, shown order, label noise, the draw.

A model's score is its mean preference, averaged over instructions. What one annotator said of one pair, in
both orders and all replicates, is one vote, with their mean. A producer that takes part in every pair of an
evaluator is its reference and is not ranked. Functions of frames take what db/queries/contests.py makes, so
they work without a ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeAlias

import pandas as pd

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from db.queries.contests import contests
from db.records import AnnotationStatus, AnnotatorKind
from farm.evaluation.json_figures import interval_json
from farm.evaluation.references import GROUPS, Who, annotator_named, named
from farm.evaluation.scope import EVERYTHING, Scope, made_to_test
from farm.statistics.agreement import categories
from farm.statistics.bootstrap import Interval
from farm.statistics.ranking import RankCorrelation, rank_correlation
from farm.statistics.win_rates import win_rate

Scores: TypeAlias = "pd.DataFrame | pd.Series[float]"


@dataclass(frozen=True)
class Evaluator:
    """A name with its judgements. rows: as `sides` gives them. against: the reference; only pairs with it
    count, and it is not ranked. column: preference, or label."""

    name: str
    rows: pd.DataFrame
    against: str | None = None
    column: str = "preference"


@dataclass(frozen=True)
class RankComparison:
    """Two evaluators compared. refused: why there is no correlation, or "". agreement: the share of pairs, of
    those that both judged, on which their mean preferences fall on the same side."""

    kind: str  # what differs between them: evaluators, annotator, order, noise or draw
    a: str
    b: str
    spearman: RankCorrelation | None
    kendall: RankCorrelation | None
    refused: str
    agreement: Interval | None

    def to_json(self) -> dict[str, Json]:
        """The comparison as a JSON object."""
        return {
            "kind": self.kind,
            "a": self.a,
            "b": self.b,
            "spearman": _correlation_json(self.spearman),
            "kendall": _correlation_json(self.kendall),
            "refused": self.refused or None,
            "agreement": None if self.agreement is None else interval_json(self.agreement),
        }


@dataclass(frozen=True)
class Ranking:
    """One evaluator's scores by model, best first, in [0, 1]. reference: the producer in all of its pairs, or
    None. n, n_failed: its judgements that succeeded and failed."""

    evaluator: str
    reference: str | None
    scores: Mapping[str, float]
    n: int
    n_failed: int

    def to_json(self) -> dict[str, Json]:
        """The ranking as a JSON object; win rates are shares."""
        return {
            "evaluator": self.evaluator,
            "reference": self.reference,
            "models": [{"model": model, "win_rate": score} for model, score in self.scores.items()],
            "n": self.n,
            "n_failed": self.n_failed,
        }


@dataclass(frozen=True)
class Sensitivity:
    """The rankings of all evaluators, and the comparisons that show what changes them."""

    rankings: tuple[Ranking, ...]
    comparisons: tuple[RankComparison, ...]

    def to_json(self) -> Json:
        """Rankings and comparisons as one JSON object."""
        return {
            "rankings": [each.to_json() for each in self.rankings],
            "comparisons": [each.to_json() for each in self.comparisons],
        }


def rank_agreement(
    ledger: Ledger, a: str, b: str, scope: Scope = EVERYTHING, *, draws: int = 1000, seed: int = 0
) -> RankComparison:
    """Compare how two annotators, or groups (`human`, `gold`), rank the models.

    draws: of each bootstrap. Raises ConfigError where one of them did not judge here.
    """
    first, second = _evaluators(ledger, (a, b), scope)
    return compare("evaluators", first, second, draws=draws, seed=seed)


def sensitivity(
    ledger: Ledger,
    annotators: Sequence[str] = (),
    scope: Scope = EVERYTHING,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Sensitivity:
    """Compare rankings by annotator (and so by prompt), shown order, label noise and draw.

    annotators: names; none means people as one evaluator, and every other annotator. Raises ConfigError where
    one of them did not judge here.
    """
    chosen = _evaluators(ledger, annotators, scope)
    pairs = [("annotator", x, y) for x, y in combinations(chosen, 2)]
    pairs += [(kind, x, y) for each in chosen for kind, x, y in variants(each)]
    found = (compare(kind, x, y, draws=draws, seed=seed) for kind, x, y in pairs)
    return Sensitivity(tuple(map(ranking, chosen)), tuple(found))


def ranking(one: Evaluator) -> Ranking:
    """One evaluator's ranking of the models by score."""
    scores = model_table(one).mean().dropna().sort_values(ascending=False, kind="stable")
    ok = one.rows.loc[one.rows["first"], one.column].notna()
    by_model = {str(model): float(score) for model, score in scores.items()}
    return Ranking(
        evaluator=one.name, reference=one.against, scores=by_model, n=int(ok.sum()), n_failed=int((~ok).sum())
    )


def variants(one: Evaluator) -> Iterator[tuple[str, Evaluator, Evaluator]]:
    """Pairs of variants of one evaluator, each with what differs between the two.

    order: models shown first against models shown second. noise: preferences against labels. draw: the first
    two replicates. A pair that its judgements do not have is left out.
    """
    rows, name = one.rows, one.name
    first, second = rows[rows["shown"] == 0], rows[rows["shown"] == 1]
    if len(first):
        ahead, behind = replace(one, name=f"{name}, shown first"), replace(one, name=f"{name}, shown second")
        yield "order", replace(ahead, rows=first), replace(behind, rows=second)
    both = rows.dropna(subset=["label", "preference"])
    if (both["label"] != both["preference"]).any():
        yield (
            "noise",
            replace(one, rows=both),
            replace(one, name=f"{name}, labels", rows=both, column="label"),
        )
    replicates = sorted(set(rows["replicate"]))
    if len(replicates) > 1:
        draws = [
            replace(one, name=f"{name}, draw {k}", rows=rows[rows["replicate"] == k]) for k in replicates[:2]
        ]
        yield "draw", draws[0], draws[1]


def compare(kind: str, a: Evaluator, b: Evaluator, *, draws: int = 1000, seed: int = 0) -> RankComparison:
    """Compare two evaluators over the models and instructions that both know.

    kind: what differs. For "order", where less than half of the instructions are common, the scores are means
    over each one's own instructions: AlpacaEval fixes the shown order by instruction.
    """
    tables = model_table(a), model_table(b)
    given: tuple[Scores, Scores] = tables
    if kind == "order" and _hardly_meet(*tables):
        given = tables[0].mean(), tables[1].mean()
    try:
        spearman = rank_correlation(*given, "spearman", draws=draws, seed=seed)
        kendall = rank_correlation(*given, "kendall", draws=draws, seed=seed)
    except ValueError as error:
        return RankComparison(
            kind=kind,
            a=a.name,
            b=b.name,
            spearman=None,
            kendall=None,
            refused=str(error),
            agreement=_agreement(a, b),
        )
    return RankComparison(
        kind=kind,
        a=a.name,
        b=b.name,
        spearman=spearman,
        kendall=kendall,
        refused="",
        agreement=_agreement(a, b),
    )


def _hardly_meet(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether less than half of the instructions are common."""
    return 2 * len(first.index.intersection(second.index)) < min(len(first), len(second))


def model_table(one: Evaluator) -> pd.DataFrame:
    """An evaluator's scores in [0, 1] by instruction (rows) and model (columns), NaN without a judgement."""
    rows = one.rows if one.against is None else one.rows[one.rows["rival"] == one.against]
    rows = one_vote(rows, ["annotator", "pair_id", "model"], [one.column])
    return rows.pivot_table(index="instruction", columns="model", values=one.column, aggfunc="mean")


def one_vote(rows: pd.DataFrame, whose: list[str], values: list[str]) -> pd.DataFrame:
    """One row for the rows with the same `whose`: the means of `values` over those that have one.

    The other columns are those of the first row.
    """
    if not rows.duplicated(whose).any():
        return rows
    means = rows.groupby(whose)[values].transform("mean")
    return rows.assign(**means).drop_duplicates(whose, ignore_index=True)


def common_reference(rows: pd.DataFrame) -> str | None:
    """The producer that takes part in every pair of rows of `sides`; None where there is none, or two."""
    counts = rows.groupby("model")["pair_id"].nunique()
    always = counts.index[counts == rows["pair_id"].nunique()]
    return str(always[0]) if len(always) == 1 else None


def sides(rows: pd.DataFrame) -> pd.DataFrame:
    """Split each row of `contests` into two rows, one for each model of the pair.

    Columns: annotator, replicate, pair_id, instruction, model, rival; preference and label for this model;
    shown (0: this model's output was shown first, 1: second, -1: unknown); first (this model's output is
    output_a). Pairs of two outputs of one producer are left out.
    """
    rows = rows[rows["model_a"] != rows["model_b"]]
    parts = []
    for model, rival in (("model_a", "model_b"), ("model_b", "model_a")):
        first, swapped = model == "model_a", rows["swapped"]
        values = {name: rows[name] if first else 1 - rows[name] for name in ("preference", "label")}
        shown = swapped if first else (1 - swapped).where(swapped >= 0, -1)
        kept = rows[["annotator", "replicate", "pair_id", "instruction"]]
        parts.append(kept.assign(model=rows[model], rival=rows[rival], shown=shown, first=first, **values))
    return pd.concat(parts, ignore_index=True)


def codes_named(who: Sequence[Who], name: str) -> list[int]:
    """The codes of the annotators of a group (`human`, `gold`), or of the one with this name.

    Raises ConfigError where there is none.
    """
    members = [each.code for each in who if name in GROUPS and each.kind is GROUPS[name]]
    return members or [annotator_named(who, name).code]


def _agreement(a: Evaluator, b: Evaluator) -> Interval | None:
    """The share of pairs on which both fall on the same side, of those that both judged; None without one."""
    columns = {}
    for name, each in (("a", a), ("b", b)):
        rows = one_vote(each.rows[each.rows["first"]], ["annotator", "pair_id"], [each.column])
        columns[name] = rows.groupby("pair_id")[each.column].mean()
    both = pd.DataFrame(columns).dropna()
    if both.empty:
        return None
    instruction = a.rows.drop_duplicates("pair_id").set_index("pair_id")["instruction"]
    one, other = (categories(both[name].to_numpy(float)) for name in columns)
    same = (one == other).astype(float)
    return win_rate(same, instruction.reindex(both.index).to_numpy()).interval


def _evaluators(ledger: Ledger, names: Sequence[str], scope: Scope) -> list[Evaluator]:
    with ledger.frozen():
        rows, cards = contests(ledger, scope.source, scope.subset), ledger.annotators()
    rows = rows[rows["status"] != AnnotationStatus.SPARED.value]
    found = sides(rows[~made_to_test(rows)])
    if found.empty:
        raise ConfigError(
            "no judgement of two models fits", where=str(ledger.address), remedy="`farm status`"
        )
    present = set(found["annotator"])
    who = named([card for card in cards if card.id in present])
    if not names:
        others = [each.name for each in who if each.kind is not AnnotatorKind.HUMAN]
        names = others if len(others) == len(who) else ["human", *others]
    own = [found[found["annotator"].isin(codes_named(who, name))] for name in names]
    return [
        Evaluator(name, rows, scope.against or common_reference(rows))
        for name, rows in zip(names, own, strict=True)
    ]


def _correlation_json(found: RankCorrelation | None) -> Json:
    if found is None:
        return None
    over = found.over_instructions
    return {
        "value": found.value,
        "over_models": interval_json(found.over_models),
        "over_instructions": None if over is None else interval_json(over),
        "n_models": found.n_models,
    }
