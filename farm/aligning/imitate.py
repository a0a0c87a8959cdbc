"""Imitate people one by one: write a judge for each person, let it judge what was held out, and compare.

1. People's judgements are split by instruction. Of the side to learn from, a person's own judgements become
   the worked examples of that person's judge.
2. On the pairs that a person judged and that are held out, three judges are asked: the person's own, the
   judge alone, and that of somebody else, whom a keyed draw names for each pair.

Everything is asked through the ledger's claims. So the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from annotators.clients.budget import Estimate
from annotators.prices import PriceTable
from annotators.spec import AnnotatorSpec
from db.ids import Json, keyed_index
from db.ledger import Ledger, PairFilter
from db.whole_files import Kind, write_bytes_whole
from farm.aligning.candidates import begin_folder
from farm.aligning.foreseen import of_pairs, summed
from farm.aligning.imitations import Imitator, alone, members, write_members
from farm.aligning.likeness import Resemblance, likeness
from farm.aligning.persons import Persons, persons
from farm.aligning.report import PaidNow
from farm.aligning.run import Load, judge_of
from farm.aligning.verdicts import verdicts
from farm.judging.at_work import AnnotatorAtWork, account_of
from farm.judging.provider import Provider, Task
from farm.judging.transports import whom_of
from farm.options.imitate import ImitateTask
from farm.progress import Progress
from farm.statistics.agreement import Floats
from farm.statistics.bounds import Told, answer

REPORT = "imitation.json"
OURS = Kind(b'{\n "imitation": ')


@dataclass(frozen=True)
class Imitation:
    """The result. of: by the person's name, with the name of the member that imitates. all: of all together.

    left_out: persons who judged too little. paid: what this run asked and paid.
    """

    judge: str
    out: Path
    temperature: float
    level: float
    members: tuple[Imitator, ...]
    of: Mapping[str, Resemblance]
    all: Resemblance
    left_out: int
    paid: PaidNow

    @property
    def better(self) -> Told | None:
        """Whether people agree more with their imitations than with the judge alone."""
        return answer(self.all.gain)

    @property
    def personal(self) -> Told | None:
        """Whether people agree more with their own imitation than with somebody else's."""
        return answer(self.all.personal)

    def to_json(self) -> dict[str, Json]:
        """The result as a JSON object."""
        people: list[Json] = [
            {
                "person": each.person.name,
                "member": each.spec.name,
                "fingerprint": each.spec.fingerprint,
                "shots": len(each.read),
                **self.of[each.person.name].to_json(),
            }
            for each in self.members
        ]
        return {
            "judge": self.judge,
            "out": str(self.out),
            "temperature": self.temperature,
            "level": self.level,
            "persons": people,
            "left_out": self.left_out,
            "all": self.all.to_json(),
            "better": self.better,
            "personal": self.personal,
            "paid": self.paid.to_json(),
        }


@dataclass(frozen=True)
class _Questions:
    """Who is asked what. rows: a row for each person and held-out pair: person, place (of the person's
    member), other (place of somebody else's, -1 where there is none), pair_id, instruction, mean."""

    judge: AnnotatorSpec
    alone: AnnotatorSpec
    people: Persons
    members: tuple[Imitator, ...]
    rows: pd.DataFrame

    @classmethod
    def of(cls, ledger: Ledger, task: ImitateTask, load: Load) -> _Questions:
        """Raises ConfigError where there is nothing to ask, or the judge cannot be told of a person."""
        judge, people = judge_of(load, task.judge), persons(ledger, task)
        made = members(ledger, judge, people.chosen, task)
        parts = [
            each.person.held.assign(person=each.person.name, place=place, key=each.person.key)
            for place, each in enumerate(made)
        ]
        rows = pd.concat(parts, ignore_index=True)
        rows["other"] = [
            _somebody_else(place, len(made), f"{pair} {key} {task.seed}")
            for place, pair, key in zip(rows["place"], rows["pair"], rows["key"], strict=True)
        ]
        return cls(judge, alone(judge, task), people, tuple(made), rows)

    def asked(self) -> list[tuple[AnnotatorSpec, tuple[int, ...]]]:
        """Each judge with the ids of the pairs that it is asked, in order."""
        found = [(self.alone, _ids(self.rows["pair_id"]))]
        for place, each in enumerate(self.members):
            mine = (self.rows["place"] == place) | (self.rows["other"] == place)
            found.append((each.spec, _ids(self.rows.loc[mine, "pair_id"])))
        return found


def _somebody_else(place: int, count: int, key: str) -> int:
    """The place of another member, drawn by a key; -1 where there is none."""
    if count == 1:
        return -1
    return (place + 1 + keyed_index(count - 1, "imitation of somebody else", key)) % count


def _ids(pair_ids: pd.Series[int]) -> tuple[int, ...]:
    return tuple(int(each) for each in np.unique(pair_ids.to_numpy()))


def imitate_people(
    ledger: Ledger, task: ImitateTask, load: Load, *, provider: Provider, progress: Progress
) -> Imitation:
    """Write the folder, ask, and compare.

    Raises ConfigError where it cannot begin, RunStopped where the provider or the budget ends the run early.
    What was asked until then is in the ledger.
    """
    questions = _Questions.of(ledger, task, load)
    asked: dict[str, Json] = {
        **{name: value for name, value in asdict(task).items() if name not in ("out", "personas")},
        "judge_fingerprint": questions.judge.fingerprint,
        "judgements": questions.people.key,
    }
    begin_folder(task.out, asked, "imitations")
    write_members(questions.judge, list(questions.members), task)
    account, paid, said = account_of(provider), PaidNow(), []
    for spec, ids in questions.asked():
        at_work = AnnotatorAtWork(ledger, spec, Task(), provider, account=account)
        told = at_work.judge(PairFilter(ids=ids), progress)
        paid = paid.plus(told.requests, told.tokens, told.cost)
        verdict = verdicts(ledger, at_work.annotator.fingerprint, ids)
        said.append(pd.Series(verdict, index=list(ids), dtype=float))
    found = _compared(questions, said[0], said[1:], task=task, paid=paid)
    text = json.dumps({"imitation": found.to_json()}, indent=1, ensure_ascii=False) + "\n"
    write_bytes_whole(task.out / REPORT, text.encode(), OURS)
    return found


def _compared(
    questions: _Questions,
    bare: pd.Series[float],
    imitating: list[pd.Series[float]],
    *,
    task: ImitateTask,
    paid: PaidNow,
) -> Imitation:
    rows = questions.rows
    rows = rows.assign(
        alone=bare.reindex(rows["pair_id"]).to_numpy(),
        own=_by_place(imitating, rows, "place"),
        others=_by_place(imitating, rows, "other"),
    )
    again = pd.concat([each.person.again.assign(person=each.person.name) for each in questions.members])
    names = [each.person.name for each in questions.members]
    return Imitation(
        judge=questions.judge.name,
        out=task.out,
        temperature=task.temperature,
        level=task.level,
        members=questions.members,
        of={
            name: likeness(rows[rows["person"] == name], again[again["person"] == name], task.level)
            for name in names
        },
        all=likeness(rows, again, task.level),
        left_out=questions.people.left_out,
        paid=paid,
    )


def _by_place(imitating: list[pd.Series[float]], rows: pd.DataFrame, column: str) -> Floats:
    """The verdict of the member in this column on each row's pair; NaN without a member. (n,)."""
    each = zip(rows[column], rows["pair_id"], strict=True)
    return np.array([imitating[place][pair] if place >= 0 else np.nan for place, pair in each], float)


def foreseen_imitation(
    ledger: Ledger, task: ImitateTask, load: Load, provider: Provider
) -> Mapping[str, Estimate]:
    """What would be asked of the judge alone and of the imitations. Nothing is asked, nothing is written.

    Raises ConfigError as the imitation would.
    """
    questions = _Questions.of(ledger, task, load)
    price = PriceTable.load(provider.prices).price
    each = [
        of_pairs(ledger, spec, ids, whom_of(spec, provider), price=price) for spec, ids in questions.asked()
    ]
    return {"alone": each[0], "imitations": summed(each[1:])}
