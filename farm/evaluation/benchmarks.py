"""The benchmark's own number of every annotator that judged an imported benchmark: `farm audit --benchmark`.

A benchmark is a source of the ledger with verdicts that are right by construction, or people's. What is right
is the side of the reference's votes; a question of which it is a tie does not count. A prompt counts for a
judge that judged all its questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from db.queries.frames import Judgements
from db.queries.item_places import item_places
from db.queries.output_scores import output_scores
from db.records import AnnotatorKind
from farm.evaluation import benchmark_rules as rules
from farm.evaluation.json_figures import interval_json
from farm.evaluation.references import Who
from farm.options.audit import AuditOptions, BenchmarkName
from farm.statistics.agreement import Bools, sides
from farm.statistics.bootstrap import Interval
from farm.statistics.measures import intervals


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: where it is found in a ledger, and how it scores.

    source: the name under which it is imported. format: what `farm import` calls its files. size: how many
    prompts it has; 0 where that depends on the verdicts. reference: whose verdicts are right. holds: whether
    a subset is a part of it. in_prompts: several questions make one prompt. in_orders: a judge is meant to
    see both orders.
    """

    source: str
    format: str
    size: int
    rule: Callable[[rules.Played], rules.RuleFigures]
    holds: Callable[[str], bool]
    reference: str = "gold"
    in_prompts: bool = False
    in_orders: bool = False


def _among(names: Sequence[str]) -> Callable[[str], bool]:
    return frozenset(names).__contains__


BENCHMARKS: Mapping[BenchmarkName, Benchmark] = {
    "reward-bench": Benchmark(
        source="rewardbench",
        format="rewardbench",
        size=2985,
        rule=rules.reward_bench,
        holds=_among([name for section in rules.SECTIONS.values() for name in section]),
    ),
    "reward-bench-2": Benchmark(
        source="reward-bench-2",
        format="reward-lists",
        size=1865,
        rule=rules.reward_bench_2,
        holds=_among((*rules.BEST_OF_4, rules.TIES)),
        in_prompts=True,
    ),
    "rm-bench": Benchmark(
        source="rm-bench",
        format="reward-lists",
        size=1327,
        rule=rules.rm_bench,
        holds=lambda subset: rules.domain_of(subset) in rules.DOMAINS,
        in_prompts=True,
    ),
    "judge-bench": Benchmark(
        source="judgebench",
        format="judgebench",
        size=620,
        rule=rules.judge_bench,
        holds=lambda subset: rules.category_of(subset) is not None,
        in_orders=True,
    ),
    "llmbar": Benchmark(
        source="llmbar",
        format="llmbar",
        size=419,
        rule=rules.llmbar,
        holds=_among(rules.LLMBAR),
        in_orders=True,
    ),
    "ppe": Benchmark(
        source="ppe",
        format="ppe",
        size=0,
        rule=rules.ppe,
        holds=lambda subset: True,
        reference="human",
    ),
}


@dataclass(frozen=True)
class BenchmarkRow:
    """What one judge scores.

    judged: prompts of which it judged every question. in_both_orders: those of these of which it judged every
    question in both orders. figures: by name, `score` first; without a value where undefined.
    """

    annotator: str
    judged: int
    in_both_orders: int
    figures: Mapping[str, Interval]


@dataclass(frozen=True)
class BenchmarkAudit:
    """The rows. prompts: those that the ledger holds. size: those that the benchmark has; 0: unknown."""

    name: BenchmarkName
    source: str
    prompts: int
    size: int
    in_orders: bool
    rows: tuple[BenchmarkRow, ...]

    def is_whole(self, row: BenchmarkRow) -> bool:
        """Whether the judge judged the whole benchmark, so that its score is the benchmark's own number."""
        return row.judged >= max(self.size, self.prompts)

    def to_json(self) -> Json:
        """The audit as a JSON object."""
        return {
            "benchmark": self.name,
            "source": self.source,
            "prompts": self.prompts,
            "size": self.size or None,
            "annotators": [
                {
                    "annotator": row.annotator,
                    "judged": row.judged,
                    "in_both_orders": row.in_both_orders,
                    "whole": self.is_whole(row),
                    "figures": {name: interval_json(each) for name, each in row.figures.items()},
                }
                for row in self.rows
            ],
        }


def of_benchmark(options: AuditOptions) -> AuditOptions:
    """The options with the source and the reference of their benchmark, where they name none themselves."""
    if options.benchmark is None:
        return options
    chosen = BENCHMARKS[options.benchmark]
    return replace(
        options,
        source=options.source or chosen.source,
        reference=options.reference or chosen.reference,
    )


def require_benchmark(options: AuditOptions, ledger: Ledger, found: Judgements) -> None:
    """Raise ConfigError where the ledger holds no question of the benchmark that was asked for."""
    if options.benchmark is None:
        return
    chosen, subsets = BENCHMARKS[options.benchmark], found.units["subset"].fillna("").unique()
    if not any(map(chosen.holds, subsets)):
        some = ", ".join(sorted(map(repr, subsets))[:5])
        raise ConfigError(
            f"no question of the source {options.source!r} is one of {options.benchmark}"
            + (f" (it has the subsets {some})" if some else ""),
            where=str(ledger.address),
            remedy=f"`farm import {chosen.format} FILE --source {chosen.source}`, or --source NAME where it "
            "has another name",
        )


def benchmark_audit(
    ledger: Ledger,
    found: Judgements,
    options: AuditOptions,
    *,
    reference: Sequence[Who],
    shown: Sequence[Who],
) -> BenchmarkAudit | None:
    """What each judge outside the reference scores. found: the judgements of the benchmark's source."""
    if options.benchmark is None or options.source is None:
        return None
    chosen = BENCHMARKS[options.benchmark]
    asked = _questions(found, item_places(ledger, options.source), [each.code for each in reference], chosen)
    scores = output_scores(ledger, options.source)
    judges = [each for each in shown if each not in reference]
    rows = tuple(_row(each, asked, found.judgements, scores, chosen=chosen) for each in judges)
    return BenchmarkAudit(
        options.benchmark,
        options.source,
        prompts=asked["prompt"].nunique(),
        size=chosen.size,
        in_orders=chosen.in_orders,
        rows=tuple(row for row in rows if row.judged),
    )


def _questions(
    found: Judgements, places: pd.DataFrame, reference: Sequence[int], chosen: Benchmark
) -> pd.DataFrame:
    """The questions that count, by unit, with what a rule reads of them and is_first: which side is right."""
    votes = found.judgements[found.judgements["annotator"].isin(reference)]
    lead = votes.assign(lead=sides(votes["preference"].to_numpy(float)) - 0.5).groupby("unit")["lead"].sum()
    units = found.units.assign(subset=found.units["subset"].fillna(""))
    asked = units.merge(places, on=["name", "pair_id"]).merge(lead[lead != 0].rename("lead"), on="unit")
    asked = asked[[chosen.holds(subset) for subset in asked["subset"]]].reset_index(drop=True)
    own = asked["ref"].where(asked["ref"].notna(), asked["instruction_id"]).astype(str)
    prompt = asked.assign(own=own).groupby(["subset", "own"], sort=False).ngroup()
    return asked.assign(
        is_first=asked["lead"] > 0,
        prompt=prompt if chosen.in_prompts else np.arange(len(asked)),
        cluster=asked["instruction_id"],
    )


def _row(
    judge: Who, asked: pd.DataFrame, judgements: pd.DataFrame, scores: pd.DataFrame, *, chosen: Benchmark
) -> BenchmarkRow:
    said = _said(judgements[judgements["annotator"] == judge.code], asked)
    joined = asked.join(said, on="unit")
    judged = joined["right"].notna()
    whole = judged.groupby(joined["prompt"]).transform("all").to_numpy(bool)
    questions = _with_scores(joined[whole], scores[scores["annotator"] == judge.code])
    tally = chosen.rule(rules.Played(questions, judge.kind is AnnotatorKind.REWARD_MODEL))
    return BenchmarkRow(
        judge.name,
        judged=questions["prompt"].nunique(),
        in_both_orders=_prompts(questions, questions["both"].to_numpy(bool)),
        figures=intervals(tally.figures, tally.clusters) if len(questions) else {},
    )


def _prompts(questions: pd.DataFrame, holds: Bools) -> int:
    """The number of prompts all of whose questions hold."""
    return int(pd.Series(holds).groupby(questions["prompt"].to_numpy()).all().sum())


def _said(rows: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """By unit: vote, right (the share of the judgements that are), both (whether in both orders)."""
    is_first = asked.set_index("unit")["is_first"]
    rows = rows[rows["unit"].isin(is_first.index)]
    side = sides(rows["preference"].to_numpy(float))
    side = np.where(is_first.loc[rows["unit"]].to_numpy(bool), side, 1 - side)
    told = pd.DataFrame({"unit": rows["unit"].to_numpy(), "lead": side - 0.5, "right": side == 1})
    told = told.assign(is_first=rows["swapped"].to_numpy() == 0, is_second=rows["swapped"].to_numpy() == 1)
    groups = told.groupby("unit")
    vote = np.sign(groups["lead"].sum(min_count=1)) / 2 + 0.5
    both = groups["is_first"].any() & groups["is_second"].any()
    return pd.DataFrame({"vote": vote, "right": groups["right"].mean(), "both": both})


def _with_scores(questions: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The questions with the judge's scores of the right output and of the wrong one."""
    joined = questions.merge(scores.drop(columns="annotator"), on="pair_id", how="left")
    is_a = joined["is_first"].to_numpy(bool) != joined["flipped"].to_numpy(bool)
    a, b = joined.pop("score_a").to_numpy(float), joined.pop("score_b").to_numpy(float)
    return joined.assign(score_right=np.where(is_a, a, b), score_wrong=np.where(is_a, b, a))
