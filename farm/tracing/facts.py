"""What a trace reads once, because it is small: checkpoints, runs, snapshots, annotators, producers.

Judgements, pairs and outputs are read row by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from db.ledger import Ledger
from db.queries import history, lineage, training
from db.queries.holdings import sources
from db.queries.outputs import Produced, producers
from db.records import AnnotatorCard
from farm.evaluation.references import Who, named
from farm.tracing.node import Node

MODEL = "model"  # the folder of a checkpoint that transformers loads

Trace: TypeAlias = "Callable[[Facts, str], Node | None]"
"""(facts, what stands after KIND:) -> the node; None where there is no such thing."""


class Facts:
    """The ledger of one trace. limit: how many judgements are shown under one node.

    kinds: how each kind of thing is traced. An output leads by it to the checkpoint that drew it.
    """

    def __init__(self, ledger: Ledger, limit: int, kinds: Mapping[str, Trace]) -> None:
        self.ledger = ledger
        self.limit = limit
        self.kinds = kinds

    @cached_property
    def checkpoints(self) -> list[lineage.Saved]:
        """All checkpoints, in the order in which they were saved."""
        return lineage.checkpoints(self.ledger)

    @cached_property
    def runs(self) -> dict[int, history.Trained]:
        """All training runs, by id."""
        return {each.id: each for each in history.runs(self.ledger)}

    @cached_property
    def snapshots(self) -> list[training.SnapshotCard]:
        """All snapshots."""
        return training.snapshots(self.ledger)

    @cached_property
    def sources(self) -> dict[str, int]:
        """The number of items of each source."""
        found = Counter[str]()
        for each in sources(self.ledger):
            found[each.source] += each.items
        return found

    @cached_property
    def cards(self) -> dict[int, AnnotatorCard]:
        """All annotators, by id."""
        return {card.id: card for card in self.ledger.annotators()}

    @cached_property
    def annotators(self) -> tuple[Who, ...]:
        """All annotators, by names that tell them apart."""
        return named(list(self.cards.values()))

    @cached_property
    def annotator_names(self) -> dict[int, str]:
        """The name of each annotator, by id."""
        return {each.code: each.name for each in self.annotators}

    @cached_property
    def producers(self) -> list[Produced]:
        """All producers, with each of their decodings."""
        return producers(self.ledger)

    @cached_property
    def checkpoints_by_weights(self) -> dict[str, int]:
        """Id of the checkpoint, by the fingerprint of its weights. Checkpoints without files are left out."""
        folders = {each.id: Path(each.path) / MODEL for each in self.checkpoints}
        there = {i: str(folder) for i, folder in folders.items() if any(folder.glob("*.safetensors"))}
        if not there:
            return {}
        from farm.config import ModelConfig
        from farm.models.identity import fingerprint
        from farm.models.policy import Policy

        config = ModelConfig()
        return {
            fingerprint(path, config, lambda path=path: Policy.load(path, config)): number  # type: ignore[misc]
            for number, path in there.items()
        }


def is_checkpoint(path: Path, checkpoint: Path) -> bool:
    """Whether a path is the folder of this checkpoint, or of the model in it."""
    return checkpoint.absolute() in (path.absolute(), path.absolute().parent)
