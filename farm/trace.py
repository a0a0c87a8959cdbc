"""Show what anything in the ledger rests on: `farm trace ID`.

A checkpoint leads to its run. The run leads to its snapshot, or to the judgements of its own responses, and
to the model that it began with. The snapshot leads to annotators and judgements. A judgement leads to prompt,
reply, price and pair, and the pair to its outputs. An output leads to the checkpoint whose weights drew it.
Nothing is stored for a trace: all of it is read from the facts. `farm/tracing` has a function for each kind
of thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from db.errors import ConfigError
from db.ledger import Ledger
from db.queries import lineage
from farm.tracing import counts, judgements, runs
from farm.tracing.facts import Facts, Trace, is_checkpoint
from farm.tracing.node import Node

KEY = re.compile(r"[0-9a-f]{6,32}")
MOST_DIGITS = 18  # of an id: larger ones are none, and SQLite holds no larger ones


def by_number(trace_of: Callable[[Facts, int], Node | None]) -> Trace:
    """The trace of a kind of thing that has a number for a name. None for a text that is no number."""

    def traced(facts: Facts, name: str) -> Node | None:
        return trace_of(facts, int(name)) if name.isdecimal() and len(name) <= MOST_DIGITS else None

    return traced


KINDS: Mapping[str, Trace] = MappingProxyType(
    {
        "checkpoint": by_number(runs.checkpoint),
        "run": by_number(runs.run),
        "snapshot": counts.snapshot,
        "source": counts.source,
        "annotator": counts.annotator,
        "model": counts.model,
        "annotation": by_number(judgements.annotation),
        "completion": by_number(judgements.completion),
        "pair": by_number(judgements.pair),
        "output": by_number(judgements.output),
        "metric": runs.metric,
        "win-rate": counts.win_rate,
    }
)
"""How each kind of thing is traced."""


def trace(ledger: Ledger, wanted: str, limit: int = 3) -> Node:
    """The tree under `wanted`: KIND:ID, a name, a checkpoint's folder, or the first digits of a content hash.

    limit: judgements shown under a node that rests on many. Raises ConfigError where there is no such thing,
    or where several have this name.
    """
    facts = Facts(ledger, limit, KINDS)
    kind, colon, name = wanted.partition(":")
    if colon and kind in KINDS:
        return _traced(facts, kind, name)
    found = list(_meant(facts, wanted))
    if len(found) > 1:
        some = ", ".join(f"{kind}:{name}" for kind, name in found[:6])
        raise ConfigError(f"{wanted!r} names several things", where="ID", remedy=f"say which: {some}")
    if not found:
        remedy = f"KIND:ID, where KIND is one of {', '.join(KINDS)}; or a name, a folder, a content hash"
        raise ConfigError(f"there is nothing that is called {wanted!r}", where="ID", remedy=remedy)
    return _traced(facts, *found[0])


def _traced(facts: Facts, kind: str, name: str) -> Node:
    """The tree of one thing. Raises ConfigError where there is none."""
    node = KINDS[kind](facts, name)
    if node is None:
        where = str(facts.ledger.address)
        raise ConfigError(f"there is no {kind} {name!r}", where=where, remedy="see `farm status`")
    return node


def _meant(facts: Facts, wanted: str) -> Iterator[tuple[str, str]]:
    """The things that a bare name may stand for, as (kind, name)."""
    for saved in facts.checkpoints:
        if is_checkpoint(Path(wanted), Path(saved.path)):
            yield "checkpoint", str(saved.id)
    yield from (("snapshot", card.name) for card in facts.snapshots if card.name == wanted)
    yield from (("annotator", each.name) for each in facts.annotators if each.name == wanted)
    if any(each.producer == wanted for each in facts.producers):
        yield "model", wanted
    if KEY.fullmatch(wanted):
        for row in lineage.by_key(facts.ledger, wanted):
            if row.kind == "snapshot":
                yield "snapshot", next(card.name for card in facts.snapshots if card.id == row.id)
            elif row.kind == "annotator":
                yield "annotator", facts.annotator_names[row.id]
            elif row.kind in ("pair", "output"):
                yield row.kind, str(row.id)
