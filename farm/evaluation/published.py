"""Compare rankings that others published with each other and with ours: `farm leaderboard --published`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from db.errors import ConfigError
from db.ids import Json
from farm.evaluation.leaderboard_report import Leaderboard
from farm.statistics.ranking import RankCorrelation, rank_correlation

FEWEST = 3  # models that two rankings must share


@dataclass(frozen=True)
class Comparison:
    """The rank correlations of two columns of scores over the models that both know."""

    first: str
    second: str
    spearman: RankCorrelation
    kendall: RankCorrelation

    def to_json(self) -> Json:
        """Both correlations as a JSON object; intervals are over models."""
        return {
            "first": self.first,
            "second": self.second,
            "models": self.spearman.n_models,
            **{
                name: {"value": rank.value, "low": rank.over_models.low, "high": rank.over_models.high}
                for name, rank in (("spearman", self.spearman), ("kendall", self.kendall))
            },
        }


@dataclass(frozen=True)
class Compared:
    """A published column compared with other rankings of its models. board: our leaderboard with the
    published scores added, or None. comparisons: those with ours come first."""

    column: str
    board: Leaderboard | None
    comparisons: tuple[Comparison, ...]

    def to_json(self) -> Json:
        """The board, if any, and the comparisons as one JSON object."""
        board = self.board.to_json() if self.board else {}
        return {**board, "column": self.column, "comparisons": [each.to_json() for each in self.comparisons]}


def published(path: Path) -> pd.DataFrame:
    """Read a CSV table of scores: models in the first column, then one column for each ranking.

    Columns of text are left out. Raises ConfigError where the file is no such table.
    """
    try:
        table = pd.read_csv(path, index_col=0)
    except (OSError, ValueError) as error:
        raise ConfigError(f"not a table: {error}", where=str(path), remedy="give a CSV file") from None
    table.columns = [" ".join(str(name).split()) for name in table.columns]
    scores = table.apply(pd.to_numeric, errors="coerce")
    scores = scores[scores.index.notna() & ~scores.index.duplicated()].dropna(axis="columns", how="all")
    if scores.empty:
        raise ConfigError("the table has no column of numbers", where=str(path))
    return pd.DataFrame(scores)


def compare_published(
    scores: pd.DataFrame, column: str, ours: Leaderboard | None, *, draws: int = 1000, seed: int = 0
) -> Compared:
    """Compare every other column, and our leaderboard, with this column.

    A ranking is left out where it shares fewer than three models with the column, or where one of the two
    ties all of them. draws: of the bootstrap. Raises ConfigError where the table has no such column, or where
    no ranking is left."""
    column = " ".join(column.split())
    if column not in scores.columns:
        there = ", ".join(scores.columns)
        raise ConfigError(f"no column {column!r}", where="--against", remedy=f"one of {there}")
    told = scores[column].dropna()
    others: dict[str, pd.Series[float]] = {**_ours(ours)} if ours else {}
    others |= {str(name): scores[name] for name in scores.columns if name != column}
    found = []
    for name, side in others.items():
        both = pd.concat([side, told], axis=1, join="inner").dropna()
        if len(both) < FEWEST or both.nunique().min() < 2:
            continue
        ranks = [
            rank_correlation(both.iloc[:, 0], both.iloc[:, 1], method, draws=draws, seed=seed)
            for method in ("spearman", "kendall")
        ]
        found.append(Comparison(name, column, *ranks))
    if not found:
        raise ConfigError(f"nothing has {FEWEST} models in common with {column!r}", where="--against")
    return Compared(column, _beside(ours, told) if ours else None, tuple(found))


def _beside(ours: Leaderboard, told: pd.Series[float]) -> Leaderboard:
    known = {str(model): float(score) for model, score in told.items()}
    places = (replace(each, published=known.get(each.model)) for each in ours.places)
    return replace(ours, places=tuple(places))


def _ours(found: Leaderboard) -> Mapping[str, pd.Series[float]]:
    rates = {place.model: place.rate.value for place in found.places if place.rate.n}
    controlled = {
        place.model: place.controlled.rate.value
        for place in found.places
        if place.controlled.rate is not None
    }
    names = (f"{found.annotator}, win rate", f"{found.annotator}, length-controlled")
    return {name: pd.Series(each) for name, each in zip(names, (rates, controlled), strict=True) if each}
