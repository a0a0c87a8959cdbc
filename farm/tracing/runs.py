"""The trace of training: a checkpoint leads to its run.

The run leads to its first model, and to what it learnt from: a snapshot, or judgements of its own responses.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from db.ids import Json
from db.queries import history
from farm.tracing.counts import snapshot, source
from farm.tracing.facts import Facts, is_checkpoint
from farm.tracing.node import Node


def checkpoint(facts: Facts, number: int, above: frozenset[int] = frozenset()) -> Node | None:
    """A checkpoint with its run. above: ids of the runs that this node stands under."""
    found = next((each for each in facts.checkpoints if each.id == number), None)
    if found is None:
        return None
    about: dict[str, Json] = {
        "path": found.path, "step": found.step, "there": Path(found.path).exists()
    }  # fmt: skip
    by = run(facts, found.run_id, above)
    return Node(f"checkpoint:{number}", about, basis=(by,) if by else ())


def run(facts: Facts, number: int, above: frozenset[int] = frozenset()) -> Node | None:
    """A training run with what it learnt from, and the checkpoint that it began with if the ledger has it.

    above: ids of the runs that this node stands under. They are not followed again.
    """
    found = facts.runs.get(number)
    if found is None:
        return None
    fact, config = found.run, json.loads(found.run.config)
    about: dict[str, Json] = {
        "command": f"farm {fact.command}",
        "model": fact.model,
        "started": fact.started,
        "seed": fact.seed,
        "version": fact.version,
        "folder": fact.folder,
        "config": config,
    }
    if fact.set_name:
        about["set"] = fact.set_name
    basis = [snapshot(facts, found.snapshot)] if found.snapshot else []
    judged = [config["annotator"]] if "annotator" in config else config.get("constraint_judges", [])
    basis += [source(facts, each["source"], each["key"]) for each in judged]
    if evaluated := config.get("evaluation"):
        basis.append(counted(source(facts, evaluated["source"], evaluated["key"])))
    basis += [
        checkpoint(facts, each.id, above | {number})
        for each in facts.checkpoints
        if is_checkpoint(Path(fact.model), Path(each.path)) and each.run_id not in above | {number}
    ]
    return Node(f"run:{number}", about, basis=tuple(filter(None, basis)))


def counted(node: Node | None) -> Node | None:
    """The node without what it rests on: the outputs of an evaluation lead back to the run itself."""
    return node and replace(node, basis=(), hidden=node.hidden + len(node.basis))


def metric(facts: Facts, name: str) -> Node | None:
    """RUN/NAME: the last value of a metric that a run logged."""
    number, _, figure = name.partition("/")
    by = run(facts, int(number)) if number.isdecimal() else None
    logged = history.metrics(facts.ledger)
    mine = logged[(logged["run"] == (int(number) if by else -1)) & (logged["name"] == figure)]
    if by is None or mine.empty:
        return None
    last = mine.iloc[-1]
    about: dict[str, Json] = {"value": float(last["value"]), "step": int(last["step"])}
    return Node(f"metric:{name}", about, basis=(by,))
