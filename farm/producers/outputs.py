"""The outputs of one source in the ledger: which are lacking, and how new ones are written."""

from __future__ import annotations

from collections.abc import Sequence

from db.ledger import Ledger
from db.queries import outputs
from db.queries.outputs import Source
from db.records import Output
from farm.producers.answers import Answer, Wanted
from farm.progress import Progress


class Outputs:
    """The outputs of a producer with one decoding. known: found in the ledger. new: written here."""

    def __init__(self, ledger: Ledger, producer: str, decoding: str, progress: Progress) -> None:
        self.ledger, self.producer, self.decoding = ledger, producer, decoding
        self.known, self.new = 0, 0
        self._progress = progress

    def lacking(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """What of this the ledger does not hold. The rest is counted as known."""
        keys = [each.instruction.key for each in wanted]
        there = outputs.drawn(self.ledger, Source(self.producer, self.decoding), keys)
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
        self._progress(self.producer, self.known + self.new)
