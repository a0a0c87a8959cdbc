"""The outputs of one source in the ledger, and the protocol of a producer, which adds the lacking ones.

A producer writes its answers as they come, in batches. Each batch is written whole or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from db.ledger import Ledger
from db.queries.outputs import Source, drawn
from db.records import Output
from farm.producers.answers import Answer, Wanted
from farm.progress import Progress


class Outputs:
    """The outputs of a producer with one decoding. known: found in the ledger. new: written here.

    progress: told the outputs that are there after each batch that is written. total: all that are wanted.
    """

    def __init__(
        self, ledger: Ledger, producer: str, decoding: str, progress: Progress, *, total: int | None = None
    ) -> None:
        self.ledger, self.producer, self.decoding, self.total = ledger, producer, decoding, total
        self.known, self.new = 0, 0
        self._progress = progress

    def lacking(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """What of this the ledger does not hold. The rest is counted as known."""
        keys = [each.instruction.key for each in wanted]
        there = drawn(self.ledger, Source(self.producer, self.decoding), keys)
        found = []
        for instruction, draws in wanted:
            left = tuple(k for k in draws if (instruction.key, k) not in there)
            self.known += len(draws) - len(left)
            if left:
                found.append(Wanted(instruction, left))
        return found

    def write(self, answers: Sequence[Answer]) -> None:
        """Write answers, all or none of them."""
        facts = [
            Output(each.instruction, each.text, self.producer, decoding=self.decoding, sample=each.draw)
            for each in answers
        ]
        with self.ledger.writing() as writer:
            ids = writer.outputs(facts)
            writer.thoughts({i: each.thinking for i, each in zip(ids, answers, strict=True)})
        self.new += len(facts)
        self._progress(self.producer, self.known + self.new, self.total)


class Producer(Protocol):
    """A model with its decoding settings, which can draw outputs."""

    decoding: str  # canonical JSON of all that can change an output
    failures: Counter[str]  # how many draws failed, by the name of the failure

    @property
    def cost(self) -> float | None:
        """What was paid, in US dollars. None where nothing was paid for, or a price is unknown."""
        ...

    def draw(self, wanted: Sequence[Wanted], outputs: Outputs) -> int:
        """Draw all that is wanted and write it to `outputs`. A failed draw is counted and not written.

        Returns how many draws were left to another run, which is asking for them.
        """
        ...
