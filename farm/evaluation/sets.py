"""The evaluation set of a leaderboard: its instructions, with their difficulties and anchors."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from db.errors import ConfigError, did_you_mean
from farm.statistics.difficulty import Difficulty

PLACES = "index"  # the column of a table that gives places in the set, from 0
NAMES = ("name", PLACES, "instruction_id", "instruction")  # columns that say which instruction, best first
EMPTY = ("", "NA", "NaN", "nan", "null")  # cells without a number
SHOWN = 3  # names that an error gives
GAMED = "df_gamed*.csv"


@dataclass(frozen=True)
class EvaluationSet:
    """An evaluation set. name: of the set in the ledger, or None. rows: its instructions in order, with the
    columns instruction (id), name, category and meta."""

    name: str | None
    rows: pd.DataFrame

    @property
    def instructions(self) -> list[Hashable]:
        """The ids of the instructions, in order."""
        return list(self.rows["instruction"])

    def difficulty(self, path: Path | None) -> Difficulty | None:
        """Difficulties from the CSV table at `path`, else those imported with the set; None without both.

        Raises ConfigError where the file is no such table, or where its values are not usable.
        """
        if path is not None:
            table = _table(path, "instruction_difficulty")
            values = pd.Series(
                table["instruction_difficulty"].to_numpy(float), self._placed(table, path), name="difficulty"
            )
            return _known(values, path.name)
        known = {row.instruction: row.meta["difficulty"] for row in self._meta() if "difficulty" in row.meta}
        if len(known) < len(self.rows):
            return None
        return _known(pd.Series(known, dtype=float), f"imported with {self.name}")

    def anchors(self, path: Path | None, difficulty: Path | None) -> pd.DataFrame | None:
        """AlpacaEval's anchor rows: instruction, preference, length (in standard deviations).

        They come from the CSV table at `path`; else from a table df_gamed*.csv beside the file `difficulty`;
        else, without that file, from the import of the set. None where there are none. Raises ConfigError
        where a file is no such table.
        """
        beside = sorted(difficulty.parent.glob(GAMED))[:1] if difficulty is not None else []
        for file in [path] if path is not None else beside:
            table = _table(file, "preference", "std_delta_len")
            return pd.DataFrame(
                {
                    "instruction": self._placed(table, file),
                    "preference": table["preference"].to_numpy(float),
                    "length": table["std_delta_len"].to_numpy(float),
                }
            )
        if difficulty is not None:
            return None
        rows = [
            (row.instruction, preference, length)
            for row in self._meta()
            for preference, length in row.meta.get("anchors", ())
        ]
        return pd.DataFrame(rows, columns=["instruction", "preference", "length"]) if rows else None

    def by_row_position(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows as AlpacaEval joins them to difficulties: the k-th row gets the k-th instruction."""
        order = {each: place for place, each in enumerate(self.rows["instruction"])}
        rows = frame.iloc[np.argsort(frame["instruction"].map(order).to_numpy(), kind="stable")]
        return rows.assign(instruction=self.rows["instruction"].to_numpy()[: len(rows)])

    def _meta(self) -> list[_Row]:
        """What the import wrote of the instructions, by name: in no order of import."""
        rows = self.rows.dropna(subset="meta").sort_values(["name", "instruction"])
        return [_Row(i, json.loads(meta)) for i, meta in zip(rows["instruction"], rows["meta"], strict=True)]

    def _placed(self, table: pd.DataFrame, path: Path) -> list[Hashable]:
        """The instruction ids of a table's rows: by the set's names, or under `index` by places from 0."""
        column = next((name for name in NAMES if name in table.columns), None)
        if column is None:
            raise ConfigError(f"no column {' or '.join(NAMES)}", where=str(path))
        ids: dict[Any, Hashable]
        if column == PLACES and self.name is None:
            what = "places in a set need a named set that holds all judged instructions"
            raise ConfigError(what, where=str(path), remedy="name one with --set, or give names under `name`")
        if column == PLACES:
            ids = {str(place): each for place, each in enumerate(self.rows["instruction"])}
            remedy = "give places from 0, or names under `name`"
        else:
            ids = dict(zip(self.rows["name"], self.rows["instruction"], strict=True))
            remedy = f"give the set's names, or places from 0 under `{PLACES}`"
        unknown = [each for each in table[column] if each not in ids]
        if unknown:
            some = ", ".join(map(repr, unknown[:SHOWN]))
            what = f"{len(unknown)} of {len(table)} values of {column!r} are not in {self.name or 'the set'}"
            raise ConfigError(f"{what}: {some}", where=str(path), remedy=remedy)
        return [ids[each] for each in table[column]]


@dataclass(frozen=True)
class _Row:
    instruction: Hashable
    meta: dict[str, Any]  # as the import wrote it


def choose_set(
    found: pd.DataFrame, judged: set[Hashable], name: str | None, only: frozenset[str] | None = None
) -> EvaluationSet:
    """Choose the evaluation set.

    It is the set of this name. Without a name it is the smallest set that holds all judged instructions, or,
    without such a set, the judged instructions themselves. found: as `db.queries.contests.members` gives it.
    judged: ids of the judged instructions. only: those of a named set that count; None: all. Raises
    ConfigError where there is no set of this name, or where none of its instructions was judged.
    """
    if name is not None:
        rows = found[found["set_name"] == name]
        rows = rows if only is None else rows[rows["instruction"].isin(only)]
        if rows.empty:
            sets = sorted(found["set_name"].unique())
            what = f"no set {name!r} (there is {', '.join(sets) or 'none'})"
            raise ConfigError(what, where="--set", remedy=did_you_mean(name, sets, ""))
        if judged.isdisjoint(rows["instruction"]):
            raise ConfigError(f"nothing of {name!r} was judged", where="--set", remedy="name another set")
        return EvaluationSet(name, _once(rows))
    holding = [
        (len(rows), str(each), rows)
        for each, rows in found.groupby("set_name", sort=True)
        if judged <= set(rows["instruction"])
    ]
    if holding:
        _, chosen, rows = min(holding, key=lambda each: each[:2])
        return EvaluationSet(chosen, _once(rows))
    rows = pd.DataFrame({"instruction": sorted(judged, key=str)}).assign(name=None, category=None, meta=None)
    return EvaluationSet(None, rows)


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Each instruction once, at its first position; name, category and meta are the first known ones."""
    kept = ["name", "category", "meta"]
    rows = rows.assign(**rows.groupby("instruction")[kept].transform("first"))
    return rows.drop_duplicates("instruction").reset_index(drop=True)


def _table(path: Path, *columns: str) -> pd.DataFrame:
    """A CSV table with these columns of numbers. Names of instructions, and places, are read as text."""
    try:
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(NAMES, str),
            keep_default_na=False,
            na_values={name: list(EMPTY) for name in columns},
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"not a table: {error}", where=str(path), remedy="give a CSV file") from None
    if missing := [name for name in columns if name not in table.columns]:
        raise ConfigError(f"no column {missing[0]!r}", where=str(path))
    for name in columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise ConfigError(f"column {name!r} is not all numbers", where=str(path))
    return table


def _known(values: pd.Series, source: str) -> Difficulty:
    try:
        return Difficulty(values, source)
    except ValueError as error:
        raise ConfigError(str(error)) from None
