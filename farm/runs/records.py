"""The records of the ledger that a method learns from, and which of them are held out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from annotators.catalogue import load as load_annotator
from annotators.render import messages
from annotators.shown import ShownPair
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ids import keyed_uniform
from db.ledger import Ledger
from db.queries import training
from db.queries.ratings import rated, rated_attributes
from db.queries.training import Labelled, SnapshotCard
from db.records import AnnotatorKind, Instruction, Output, Pair, Turn, TurnRole
from farm.models.tokens import Prompt
from farm.options.train import TrainTask
from farm.snapshot import snapshot_named
from farm.training.authors import by_author
from farm.training.conversions import FROM_SNAPSHOT, MADE
from farm.training.data import AskedPair, AttributedOutput, Data, Demonstration, JudgedOutput, PreferencePair
from farm.training.method import DataKind
from farm.training.processes import Processes

logger = logging.getLogger(__name__)

SnapshotRecord: TypeAlias = tuple[str, JudgedOutput | PreferencePair]
"""The key of an instruction, and what a snapshot holds of it."""


def learning_data(ledger: Ledger, kind: DataKind, task: TrainTask, processes: Processes) -> Data[object]:
    """The records that the method wants, training and held out, divided by the hash of the instruction."""
    held: DataKind = kind
    records: Sequence[tuple[str, object]]
    if kind == "referenced":
        records = _referenced(ledger, task)
    elif kind in FROM_SNAPSHOT:
        if task.snapshot is None:
            raise ConfigError("this method learns from judged pairs", remedy="name a --snapshot")
        card = snapshot_named(ledger, task.snapshot)
        held, records = snapshot_records(ledger, card)
        if (held, kind) == ("judged", "attributes"):
            held, records = kind, _attributed(ledger, card)
        if (held, kind) == ("pairs", "questions"):
            held, records = kind, list(asked_pairs(training.labelled(ledger, card.id), _asked(task)))
        if held != kind and (held, kind) not in MADE:
            raise _single_outputs(task)
    elif task.set_name is None:
        raise ConfigError(f"this method learns from {kind}", remedy="name a --set of instructions")
    else:
        records = _from_set(ledger, task.set_name, kind)
    if not records:
        raise ConfigError(f"there are no {kind} to learn from", where=task.snapshot or task.set_name or "")
    kept_out = {key for key, _ in records if keyed_uniform("held out", key) < task.held_out}
    train_rows = [record for key, record in records if key not in kept_out]
    held_out = [record for key, record in records if key in kept_out]
    known = set() if kind == "referenced" else kept_out  # held-out pairs are read beside references too
    beside = [each for key, each in _beside(ledger, task) if key not in known]
    data = Data(train_rows, held_out, processes, beside)
    made = data if held == kind else data.made(MADE[held, kind])
    if train_rows and not made.train:
        remedy = "judge all pairs of an instruction's outputs, or rate two of them or more"
        raise ConfigError(f"there are no {kind} to learn from", where=task.snapshot or "", remedy=remedy)
    return made


def learnt_from(ledger: Ledger, task: TrainTask) -> tuple[frozenset[str], list[Instruction]]:
    """The keys of the instructions that a run learns from, and the instructions that its data holds out.

    Both are as `learning_data` divides them.
    """
    data: dict[str, Instruction]
    if task.snapshot is None:
        data = {each.key: each for each in training.instructed(ledger, task.set_name or "")}
    else:
        card = snapshot_named(ledger, task.snapshot)
        rows = (rated if card.unpaired else training.labelled)(ledger, card.id)
        data = {each.instruction.key: each.instruction for each in rows}
    kept_out = {key for key in data if keyed_uniform("held out", key) < task.held_out}
    beside = {key for key, _ in _beside(ledger, task)}
    return frozenset((data.keys() | beside) - kept_out), [data[key] for key in data if key in kept_out]


def asked_pairs(rows: Iterable[Labelled], spec: AnnotatorSpec) -> Iterator[tuple[str, AskedPair]]:
    """Each judged pair as the annotator is asked about it, with its instruction's key.

    It is asked in both orders, first with output_a as the output shown first.
    """
    for row in rows:
        pair, flipped = Pair.of(*(Output(row.instruction, text) for text in (row.output_a, row.output_b)))
        for turned in (False, True):
            said = messages(spec, [ShownPair(pair, swapped=flipped != turned)])
            turns = tuple(Turn(TurnRole(each.role), each.content) for each in said)
            yield row.instruction.key, AskedPair(turns, spec.outputs, 1 - row.label if turned else row.label)


def _asked(task: TrainTask) -> AnnotatorSpec:
    """The annotator that is named. Raises ConfigError on one that a reply of one token does not answer."""
    if task.annotator is None:
        remedy = "name one with --annotator, such as logprob"
        raise ConfigError("this method learns to answer the prompt of an annotator", remedy=remedy)
    found = load_annotator(task.annotator)
    if not isinstance(found, AnnotatorSpec) or found.kind is not AnnotatorKind.LLM or found.recorded:
        what = f"{found.name} is no language model with a prompt"
    elif found.decoding.max_tokens != 1 or found.batch != 1:
        what = f"a reply to {found.name} has more than one token"
    else:
        return found
    raise ConfigError(what, where="--annotator", remedy="name one whose reply is one token, such as logprob")


def snapshot_records(ledger: Ledger, card: SnapshotCard) -> tuple[DataKind, list[SnapshotRecord]]:
    """What a snapshot holds, pairs or judged outputs, each with the key of its instruction."""
    if card.unpaired:
        return "judged", [
            (each.instruction.key, JudgedOutput(Prompt.of(each.instruction), each.output, each.label))
            for each in rated(ledger, card.id)
        ]
    pairs = (
        (each.instruction, (each.output_a, each.output_b, each.label, each.strength))
        for each in training.labelled(ledger, card.id)
    )
    return "pairs", [(asked.key, PreferencePair(Prompt.of(asked), *judged)) for asked, judged in pairs]


def _referenced(ledger: Ledger, task: TrainTask) -> list[tuple[str, PreferencePair]]:
    """Pairs with a reference, each with the key of its instruction.

    Those of a snapshot have the first demonstration of their instruction; pairs without one are left out, and
    counted in the log. Those of a set are told apart by their authors, and the reference is the author's too.
    """
    if (task.snapshot is None) == (task.set_name is None):
        what = "this method learns from judged pairs beside references, or from who wrote what"
        raise ConfigError(what, remedy="name a --snapshot and --demonstrations, or a --set of instructions")
    if task.set_name is not None:
        found = list(training.written(ledger, task.set_name))
        named = [(each.instruction, Prompt.of(each.instruction), each.authors) for each in found]
        made = [(asked.key, pair) for asked, prompt, of in named for pair in by_author(asked.key, prompt, of)]
        if not made:
            what = "no model wrote twice to an instruction that another model wrote to as well"
            raise ConfigError(what, where=task.set_name, remedy="`farm sample MODEL --n 2` with two models")
        return made
    if task.demonstrations is None:
        what, remedy = "this method reads a reference beside each pair", "name a set with --demonstrations"
        raise ConfigError(what, remedy=remedy)
    held, records = snapshot_records(ledger, snapshot_named(ledger, task.snapshot or ""))
    if held != "pairs":
        raise _single_outputs(task)
    references = dict(reversed(_beside(ledger, task)))
    kept = [
        (key, replace(record, reference=references[key].output))
        for key, record in records
        if isinstance(record, PreferencePair) and key in references
    ]
    if not kept:
        what = f"none of the {len(records)} pairs is about an instruction of {task.demonstrations!r}"
        raise ConfigError(what, where="--demonstrations", remedy="name the set that the pairs are from")
    if missing := len(records) - len(kept):
        logger.warning("left out: %d of %d pairs have no demonstration", missing, len(records))
    return kept


def _single_outputs(task: TrainTask) -> ConfigError:
    return ConfigError(
        f"the snapshot {task.snapshot!r} has single outputs, and this method learns from pairs",
        remedy="make one of pairs: `farm snapshot NAME` without --unpaired",
    )


def _attributed(ledger: Ledger, card: SnapshotCard) -> list[tuple[str, AttributedOutput]]:
    """The outputs of a snapshot of ratings with the rating of each attribute."""
    return [
        (each.instruction.key, AttributedOutput(Prompt.of(each.instruction), each.output, each.labels))
        for each in rated_attributes(ledger, card.id)
    ]


def _beside(ledger: Ledger, task: TrainTask) -> list[tuple[str, Demonstration]]:
    """The demonstrations that are imitated beside the data, with the keys of their instructions."""
    if task.demonstrations is None:
        return []
    found = _demonstrations(ledger, task.demonstrations)
    if not found:
        raise ConfigError("there are no demonstrations", where=task.demonstrations, remedy="import some")
    return found


def _demonstrations(ledger: Ledger, name: str) -> list[tuple[str, Demonstration]]:
    """The demonstrations of a set, with the keys of their instructions."""
    return [
        (each.instruction.key, Demonstration(Prompt.of(each.instruction), each.output))
        for each in training.demonstrated(ledger, name)
    ]


def _from_set(ledger: Ledger, name: str, kind: DataKind) -> list[tuple[str, object]]:
    """The demonstrations or the prompts of a set, with the keys of the instructions."""
    if kind == "demonstrations":
        return [*_demonstrations(ledger, name)]
    return [(each.key, Prompt.of(each)) for each in training.instructed(ledger, name)]
