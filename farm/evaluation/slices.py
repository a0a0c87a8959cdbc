"""Slices of an audit: which questions make a slice, and its judgements as arrays.

A slice is some of the questions: those of one source, those of one subset, or those that were answered at
once or only after a failure ("tries").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from db.queries.frames import Judgements
from farm.evaluation.references import Who
from farm.statistics.agreement import Ints
from farm.statistics.profile import JudgementColumns, Units

TRIES = "tries"


@dataclass(frozen=True)
class Sample:
    """The judgements of one slice as arrays.

    where: the slice's source, subset or tries; empty for all questions. units: features of its questions.
    places (n,): the question of each judgement, numbered from 0. annotator (n,): the code of its annotator.
    judged: the rows of the judgements, in the same order. who: the annotators that judged here.
    """

    where: Mapping[str, str | None]
    units: Units
    places: Ints
    annotator: Ints
    judged: pd.DataFrame
    who: tuple[Who, ...]

    def rows_of(self, who: Who) -> pd.DataFrame:
        """The rows of one annotator's judgements."""
        rows: pd.DataFrame = self.judged[self.annotator == who.code]
        return rows

    def columns_of(self, who: Who) -> JudgementColumns:
        """One annotator's judgements as arrays."""
        rows = self.rows_of(who)
        return JudgementColumns(
            self.places[self.annotator == who.code],
            rows["preference"].to_numpy(),
            rows["swapped"].to_numpy().astype(np.int64),
            rows["replicate"].to_numpy().astype(np.int64),
        )


class _Part(NamedTuple):
    """Some of the questions and their judgements, as frames. where: as in `Sample`."""

    where: Mapping[str, str | None]
    units: pd.DataFrame
    rows: pd.DataFrame


def whole_sample(found: Judgements, who: Sequence[Who]) -> Sample:
    """All questions as one sample."""
    return _sample(_Part({}, found.units, found.judgements), who)


def samples_by(
    found: Judgements, who: Sequence[Who], reference: Sequence[Who], by: Sequence[str]
) -> list[Sample]:
    """The sample of each slice. by: source, subset, tries. Several are crossed, and none gives no slice.

    Slices are in the order of their source and subset; first tries come before later ones.
    """
    parts = _parts_by_column(found, [name for name in by if name != TRIES]) if by else []
    if TRIES in by:
        codes = [each.code for each in reference]
        parts = [each for part in parts for each in _parts_by_tries(part, codes)]
    return [_sample(part, who) for part in parts]


def _sample(part: _Part, who: Sequence[Who]) -> Sample:
    codes = part.units["unit"].to_numpy()
    order = np.argsort(codes, kind="stable")
    places = order[np.searchsorted(codes, part.rows["unit"].to_numpy(), sorter=order)]
    features = Units(
        length=part.units[["length_1", "length_2"]].to_numpy(dtype=np.int64),
        list=part.units[["list_1", "list_2"]].to_numpy(dtype=bool),
        identical=part.units["identical"].to_numpy(dtype=bool),
        pair=part.units["pair_id"].to_numpy(dtype=np.int64),
        instruction=part.units["instruction_id"].to_numpy(dtype=np.int64),
    )
    present = set(part.rows["annotator"].unique())
    kept = tuple(each for each in who if each.code in present)
    annotator = part.rows["annotator"].to_numpy(dtype=np.int64)
    return Sample(
        where=part.where, units=features, places=places, annotator=annotator, judged=part.rows, who=kept
    )


def _parts_by_column(found: Judgements, by: Sequence[str]) -> list[_Part]:
    if not by:
        return [_Part({}, found.units, found.judgements)]
    parts = []
    texts = found.units[list(by)].astype(object).where(found.units[list(by)].notna(), None)
    keys = list(map(tuple, texts.to_numpy().tolist()))
    for key in sorted(set(keys), key=str):
        units = found.units[[each == key for each in keys]]
        rows = found.judgements[found.judgements["unit"].isin(units["unit"])]
        if len(rows):
            parts.append(_Part(dict(zip(by, key, strict=True)), units, rows))
    return parts


def _parts_by_tries(part: _Part, reference: Sequence[int]) -> Iterator[_Part]:
    """Split by whether a reply came at the first try or after a failure.

    All judgements of the reference (annotator codes) on the same questions go with either part.
    """
    inside, retries = part.rows["annotator"].isin(reference), part.rows["retries"]
    for name, came in (("first", retries == 0), ("later", retries > 0)):
        mine = part.rows[came & ~inside]
        if len(mine):
            units = part.units[part.units["unit"].isin(mine["unit"])]
            rows = part.rows[(came | inside) & part.rows["unit"].isin(units["unit"])]
            yield _Part({**part.where, TRIES: name}, units, rows)
