"""The instructions of a round, as a named set of the ledger. A set that is written stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType

from db.errors import ConfigError
from db.ids import Json, canonical_json, keyed_uniform
from db.ledger import Ledger
from db.queries import training
from db.records import Instruction, Membership, Use
from farm.options.train import TrainTask
from farm.progress import Progress
from farm.rounds.creator import MEASURES, choose, from_place
from farm.rounds.rewriting import NEW, rewrites, usable
from farm.runs.records import snapshot_records
from farm.snapshot import snapshot_named
from farm.training.conversions import group_pairs
from farm.training.data import PreferencePair


def set_of_round(
    ledger: Ledger, task: TrainTask, seed: int, *, number: int, name: str, before: str, progress: Progress
) -> int:
    """Write the instructions of round `number` (from 1) under a name; gives how many they are.

    before: the name of the round before, whose set and snapshot the creator reads. Raises ConfigError where
    --set has no instructions.
    """
    known = sum(1 for _ in training.instructed(ledger, name))
    if known:
        return known
    given = instructions_of(ledger, task)
    size, made = min(task.rounds.prompts or len(given), len(given)), list[Membership]()
    if task.rounds.creator != "none" and number > 1:
        made += _made(
            ledger, task, seed, number=number, name=name, before=before, size=size, progress=progress
        )
    used = {each.instruction.key for each in made}
    fresh = [key for key in from_place(given, number, size, seed) if key not in used]
    made += [_member(given[key], name, number) for key in fresh[: size - len(made)]]
    ledger.write_patiently(lambda writer: writer.memberships(made))
    return len(made)


def instructions_of(ledger: Ledger, task: TrainTask) -> dict[str, Instruction]:
    """The instructions of --set, by their keys. Raises ConfigError where there are none."""
    given = {each.key: each for each in training.instructed(ledger, task.set_name or "")}
    if not given:
        remedy = "`farm status` lists the sets; `farm import instructions FILE --set NAME` makes one"
        raise ConfigError("there are no instructions in this set", where=task.set_name or "", remedy=remedy)
    return given


def informativeness(ledger: Ledger, snapshot: str, measure: str) -> dict[str, float]:
    """The informativeness of each instruction of a snapshot, by its key, from the win rates of its draws."""
    _, records = snapshot_records(ledger, snapshot_named(ledger, snapshot))
    pairs = [each for _, each in records if isinstance(each, PreferencePair)]
    keys = {each.prompt: key for key, each in records}
    found = dict.fromkeys(keys.values(), 0.0)
    for group in group_pairs(pairs).groups:
        key = keys[group.prompt]
        found[key] = max(found[key], MEASURES[measure](group.scores))
    return found


def eligible(ledger: Ledger, name: str, held_out: float) -> dict[str, Instruction]:
    """The instructions of a round that the creator may choose, by their keys.

    The held-out share is none of them, nor is what stands in a set for evaluation or validation.
    """
    apart = training.set_apart(ledger)
    return {
        each.key: each
        for each in training.instructed(ledger, name)
        if each.key not in apart and keyed_uniform("held out", each.key) >= held_out
    }


def _made(
    ledger: Ledger,
    task: TrainTask,
    seed: int,
    *,
    number: int,
    name: str,
    before: str,
    size: int,
    progress: Progress,
) -> list[Membership]:
    """What the creator makes of its choice: the instructions themselves, or rewrites of them.

    A rewrite is never an instruction of --set, nor one that stands in a set for evaluation or validation. Its
    row says which instruction it was made of, and which reply.
    """
    chosen = _chosen(ledger, task, seed, number=number, before=before)
    if task.rounds.creator == "choose":
        return [_member(each, name, number, {"informativeness": value}) for each, value in chosen]
    values = {each.key: value for each, value in chosen}
    parents = {each.key: each for each, _ in chosen if not each.turns}
    asked = list(parents.values())
    said = rewrites(ledger, task, asked, name=f"{name} rewriting", seed=seed, progress=progress)
    taken = instructions_of(ledger, task).keys() | training.set_apart(ledger)
    new = islice(usable(said, parents, taken), round(NEW * size))
    return [
        _member(
            each.instruction,
            name,
            number,
            {"informativeness": values[each.parent], "parent": each.parent, "reply": each.reply.key},
        )
        for each in new
    ]


def _chosen(
    ledger: Ledger, task: TrainTask, seed: int, *, number: int, before: str
) -> list[tuple[Instruction, float]]:
    """The creator's choice among the instructions of the round before, each with its informativeness."""
    wanted, known = task.rounds, eligible(ledger, before, task.held_out)
    found = informativeness(ledger, before, wanted.informativeness)
    values = {key: found.get(key, 0.0) for key in known}
    count = max(1, round(wanted.share * (wanted.prompts or len(values))))
    return [(known[key], values[key]) for key in choose(values, count, seed, number)]


def _member(
    instruction: Instruction, name: str, number: int, more: Mapping[str, Json] = MappingProxyType({})
) -> Membership:
    return Membership(instruction, name, Use.TRAIN, meta=canonical_json({"round": number, **more}))
