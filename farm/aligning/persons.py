"""Single people: what each of them judged, on a side to learn from and a side that is held out.

A keyed hash of an instruction's key and the seed decides its side. So all pairs of an instruction stand on
one side, whoever judged them, and the sides are the same in every ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from db.errors import ConfigError
from db.ids import content_hash, keyed_uniform
from db.interchange.csv_rows import csv_rows_of, delimiter_of
from db.interchange.rows import Refusal
from db.ledger import Ledger, PairFilter
from db.queries.people import judged_by
from db.records import AnnotatorKind
from farm.evaluation.references import Who, annotator_named, named
from farm.options.imitate import ImitateTask
from farm.statistics.agreement import self_error, sides

FEWEST = 10  # held-out pairs of one person
FEWEST_IN_ALL = 30  # held-out pairs of all persons
COLUMNS = ("person", "persona")


@dataclass(frozen=True)
class Imitated:
    """One person. key: the annotator's, the same in every ledger. persona: a text about them, or none.

    known, held: a row for each pair of the side to learn from and of the other: pair_id, pair and instruction
    (keys), mean (of the sides of the person's judgements for output_a; a tie is 1/2). The rows to learn from
    stand in a drawn order, without ties; so do those held out, the first of which are wanted. again: a row
    for each judgement of a pair that the person judged twice or more: instruction, agreement (with the
    person's other judgements of the pair).
    """

    name: str
    key: str
    known: pd.DataFrame
    held: pd.DataFrame
    again: pd.DataFrame
    persona: str = ""


@dataclass(frozen=True)
class Persons:
    """Everybody who is imitated, and how many others judged too little."""

    chosen: tuple[Imitated, ...]
    left_out: int

    @property
    def key(self) -> str:
        """A hash of who judged what, the same in every ledger."""
        rows = [
            [each.key, each.persona, side[["pair", "mean"]].sort_values("pair").to_numpy().tolist()]
            for each in self.chosen
            for side in (each.known, each.held)
        ]
        return content_hash("persons", rows)


def persons(ledger: Ledger, task: ImitateTask) -> Persons:
    """Read who judged what. Raises ConfigError where too little is there, or the personas are faulty."""
    people = [each for each in named(ledger.annotators()) if each.kind is AnnotatorKind.HUMAN]
    if not people:
        raise ConfigError("no person judged here", remedy="`farm import`, `farm label`")
    personas = _personas(task.personas, people) if task.personas else {}
    wanted = [annotator_named(people, name) for name in task.person] or people
    if task.personas:
        wanted = [each for each in wanted if each.code in personas]
    keys = {card.id: card.key for card in ledger.annotators()}
    rows = judged_by(ledger, [each.code for each in wanted], PairFilter(task.source, task.subset))
    rows["held"] = [_draw("side", key, task) < task.held_out for key in rows["instruction"]]
    found = [
        replace(
            _person(who, keys[who.code], rows[rows["annotator"] == who.code], task),
            persona=personas.get(who.code, ""),
        )
        for who in wanted
    ]
    chosen = tuple(each for each in found if len(each.held) >= FEWEST and len(each.known) >= task.shots)
    if sum(len(each.held) for each in chosen) < FEWEST_IN_ALL:
        raise ConfigError(
            f"{len(chosen)} of {len(found)} persons judged {FEWEST} held-out pairs and {task.shots} pairs to "
            f"learn from, and {FEWEST_IN_ALL} held-out pairs of all are needed",
            remedy="let people judge more; --held-out, --limit and --shots say what each side needs",
        )
    return Persons(tuple(sorted(chosen, key=lambda each: each.name)), len(found) - len(chosen))


def _person(who: Who, key: str, rows: pd.DataFrame, task: ImitateTask) -> Imitated:
    said = sides(rows["preference"].to_numpy(float))
    by_pair = rows.assign(mean=said).groupby("pair_id", sort=False)
    pairs = by_pair.agg({"pair": "first", "instruction": "first", "mean": "mean", "held": "first"})
    pairs = pairs.reset_index()
    pairs["draw"] = [_draw("order", f"{key} {pair}", task) for pair in pairs["pair"]]
    pairs = pairs.sort_values("draw").drop(columns="draw")
    known, held = pairs[~pairs["held"].astype(bool)], pairs[pairs["held"].astype(bool)]
    units = np.unique(rows["pair_id"], return_inverse=True)[1].astype(np.int64)
    agreement = 1 - self_error(units, said, len(pairs))
    again = pd.DataFrame({"instruction": rows["instruction"].to_numpy(), "agreement": agreement})
    columns = ["pair_id", "pair", "instruction", "mean"]
    return Imitated(
        name=who.name,
        key=key,
        known=known.loc[known["mean"] != 0.5, columns],
        held=held[columns].head(task.limit if task.limit is not None else len(held)),
        again=again.dropna(),
    )


def _draw(purpose: str, key: str, task: ImitateTask) -> float:
    return keyed_uniform("imitation", purpose, key, task.seed)


def _personas(path: Path, people: list[Who]) -> Mapping[int, str]:
    """The texts of a table, by the person's code. Raises ConfigError on the first row that is wrong."""
    if not path.is_file():
        raise ConfigError("there is no such file", where=str(path), remedy="name a CSV file with --personas")
    found: dict[int, str] = {}
    remedy = f"the columns are {' and '.join(COLUMNS)}"
    for row in csv_rows_of(path, delimiter_of(path)):
        if isinstance(row, Refusal):
            raise ConfigError(row.reason, where=f"{path}:{row.row}", remedy=remedy)
        number, cells = row
        where = f"{path}:{number}"
        if missing := [each for each in COLUMNS if not str(cells.get(each, "")).strip()]:
            raise ConfigError(f"the row has no {' and no '.join(missing)}", where=where, remedy=remedy)
        try:
            who = annotator_named(people, str(cells["person"]).strip())
        except ConfigError as error:
            raise ConfigError(error.what, where=where, remedy=error.remedy) from None
        if who.code in found:
            raise ConfigError(f"{who.name} stands in two rows", where=where, remedy="keep one of them")
        found[who.code] = str(cells["persona"]).strip()
    if not found:
        raise ConfigError("the table has no rows", where=str(path), remedy=remedy)
    return found
