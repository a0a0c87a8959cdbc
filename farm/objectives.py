"""The training methods, what each needs, and what a snapshot can train: `farm methods`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from db.ids import Json
from db.ledger import Ledger
from farm.config import Option
from farm.methods import METHODS, load
from farm.runs.records import snapshot_records
from farm.snapshot import snapshot_named
from farm.train import method_named, method_options
from farm.training.conversions import FROM_SNAPSHOT, GROUPINGS
from farm.training.data import JudgedOutput
from farm.training.method import DataKind

LEARNS_FROM: dict[DataKind, str] = {
    "demonstrations": "demonstrations",
    "pairs": "judged pairs",
    "referenced": "judged pairs with a reference",
    "judged": "judged outputs",
    "attributes": "rated outputs",
    "questions": "questions about pairs",
    "groups": "scored groups",
    "instructions": "own responses",
}
"""What a method of each data kind learns from, for a reader."""


@dataclass(frozen=True)
class Objective:
    """A method. title, paper: as its file begins. needs: frozen models beside the policy.

    snapshot: whether its records come from a snapshot; otherwise from a set.
    """

    name: str
    title: str
    paper: str
    learns_from: str
    needs: tuple[str, ...]
    snapshot: bool

    @property
    def command(self) -> str:
        """How to train it."""
        data = "--snapshot NAME" if self.snapshot else "--set NAME"
        named = ("reward", "token_reward", "teacher")
        models = "".join(f" --{each.replace('_', '-')} DIR" for each in named if each in self.needs)
        asked = "judge" in self.needs or self.learns_from == LEARNS_FROM["questions"]
        more = " --annotator NAME" * asked + " --demonstrations NAME" * ("demonstrations" in self.needs)
        return f"farm train {self.name} --model DIR --out FOLDER {data}{models}{more}"


@dataclass(frozen=True)
class SnapshotRows:
    """What a snapshot holds: judged pairs, or outputs that were judged alone.

    ties: labels of ½. soft: labels other than 0, ½ and 1. groups: of outputs to one instruction, in one
    order; cyclic: how many of them have a cycle; partial: those in part of an order, which are left out.
    """

    name: str
    pairs: int
    outputs: int
    ties: int
    soft: int
    instructions: int
    groups: int
    cyclic: int
    partial: int


@dataclass(frozen=True)
class ObjectiveTable:
    """The methods, and a snapshot's rows where one was named."""

    objectives: tuple[Objective, ...]
    snapshot: SnapshotRows | None

    def rows(self, method: Objective) -> int | None:
        """Records that the snapshot gives a method; None where it takes none from a snapshot."""
        if self.snapshot is None or not method.snapshot:
            return None
        kind, held = load(method.name).data_kind, self.snapshot
        if kind in ("judged", "attributes"):
            return 2 * held.pairs + held.outputs
        if kind == "groups":
            return held.groups
        if held.outputs:
            return None
        return 2 * held.pairs if kind == "questions" else held.pairs

    def to_json(self) -> Json:
        """The table as a JSON object."""
        methods = [
            {**asdict(each), "needs": list(each.needs), "command": each.command, "rows": self.rows(each)}
            for each in self.objectives
        ]
        return {"methods": methods, "snapshot": asdict(self.snapshot) if self.snapshot else None}


@dataclass(frozen=True)
class ObjectiveDetail:
    """A method with the text at the head of its file and the options of its own."""

    objective: Objective
    text: str
    options: tuple[Option, ...]

    def to_json(self) -> Json:
        """The method as a JSON object."""
        named: list[Json] = [
            {"name": each.name, "default": str(each.default), "meaning": each.doc} for each in self.options
        ]
        told = asdict(self.objective) | {"needs": list(self.objective.needs)}
        return {**told, "command": self.objective.command, "text": self.text, "options": named}


def objective(name: str) -> Objective:
    """A method's line. Raises ConfigError on an unknown name."""
    trainer = method_named(name)
    title, paper = heading(_text_of(name))
    kind = trainer.data_kind
    from_snapshot = kind in FROM_SNAPSHOT
    return Objective(name, title, paper, LEARNS_FROM[kind], needs=trainer.needs, snapshot=from_snapshot)


def objectives(ledger: Ledger | None = None, snapshot: str | None = None) -> ObjectiveTable:
    """All methods; with a snapshot, what it holds. Raises ConfigError on an unknown snapshot."""
    rows = None
    if ledger is not None and snapshot is not None:
        card = snapshot_named(ledger, snapshot)
        held, records = snapshot_records(ledger, card)
        found = GROUPINGS[held]([record for _, record in records])
        labels = [each.label if isinstance(each, JudgedOutput) else each.preference for _, each in records]
        rows = SnapshotRows(
            name=snapshot,
            pairs=len(records) if held == "pairs" else 0,
            outputs=len(records) if held == "judged" else 0,
            ties=labels.count(0.5),
            soft=sum(label not in (0, 0.5, 1) for label in labels),
            instructions=len({key for key, _ in records}),
            groups=len(found.groups),
            cyclic=found.cyclic,
            partial=found.partial,
        )
    return ObjectiveTable(tuple(map(objective, METHODS)), rows)


def detail(name: str) -> ObjectiveDetail:
    """A method whole. Raises ConfigError on an unknown name."""
    line, text = objective(name), _text_of(name)
    own = inspect.get_annotations(method_named(name).Config)
    return ObjectiveDetail(line, text, tuple(each for each in method_options(name) if each.name in own))


def heading(text: str) -> tuple[str, str]:
    """Title and paper of the text at the head of a method's file: "Title.  Paper.", or a paragraph each."""
    first, second, *_ = [*text.split("\n\n"), ""]
    title, _, paper = first.partition(".  ")
    return title.rstrip("."), (paper or second).strip().rstrip(".")


def table_lines() -> Iterator[str]:
    """The lines of the table in docs/methods.md."""
    yield "| method | what it is | paper | learns from | needs |"
    yield "|---|---|---|---|---|"
    for each in objectives().objectives:
        cells = (each.title, each.paper, each.learns_from, " ".join(each.needs))
        yield f"| [{each.name}](methods/{each.name}.md) | {' | '.join(cells)} |"


def _text_of(name: str) -> str:
    method_named(name)
    return inspect.cleandoc(sys.modules[f"farm.methods.{name}"].__doc__ or "")
