"""What an alignment tried, what became of it, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from db.ids import Json
from farm.aligning.candidates import Candidate
from farm.aligning.proposals import ProposedRule
from farm.aligning.verdicts import JudgesCompared
from farm.statistics.bounds import answer


@dataclass(frozen=True)
class PaidNow:
    """What was asked and paid now. cost: US dollars; None where nothing was asked or a price is unknown."""

    requests: int = 0
    tokens: int = 0
    cost: float | None = None

    def plus(self, requests: int, tokens: int, cost: float | None) -> PaidNow:
        """The bill with more; once a price is unknown, so is the sum."""
        if not requests:
            return self
        known = cost if not self.requests else None if None in (cost, self.cost) else self.cost + cost  # type: ignore[operator]
        return PaidNow(self.requests + requests, self.tokens + tokens, known)

    def to_json(self) -> Json:
        """The bill as a JSON object."""
        return {"requests": self.requests, "tokens": self.tokens, "cost": self.cost}


@dataclass(frozen=True)
class Tried:
    """A candidate beside the judge as it was, on the validation side."""

    candidate: Candidate
    validation: JudgesCompared

    @property
    def gain(self) -> float:
        """How much more often people agree with it."""
        return self.validation.gain.value or 0.0

    def to_json(self) -> Json:
        """The candidate as a JSON object."""
        return {
            "name": self.candidate.name,
            "folder": str(self.candidate.folder),
            "fingerprint": self.candidate.spec.fingerprint,
            "round": self.candidate.round,
            "from": self.candidate.parent,
            "rule": self.candidate.rule,
            "validation": self.validation.to_json(),
        }


@dataclass(frozen=True)
class Alignment:
    """The result. pairs: how many each side has. differ: pairs of the training side on which people agree
    with the judge less often than a coin.

    best: the candidate with the largest gain on the validation side; None where none has one, and then
    nothing was tested. paid: what this run asked and paid, by whom it asked.
    """

    judge: str
    fingerprint: str
    out: Path
    people: str
    proposer: str
    pairs: Mapping[str, int]
    differ: int
    tried: tuple[Tried, ...]
    left_out: tuple[ProposedRule, ...]
    best: Candidate | None
    test: JudgesCompared | None
    level: float
    paid: Mapping[str, PaidNow]

    @property
    def accepted(self) -> bool:
        """Whether the best candidate is shown to be better on people who were held out."""
        return self.test is not None and answer(self.test.gain) == "yes"

    def to_json(self) -> dict[str, Json]:
        """The result as a JSON object."""
        return {
            "judge": self.judge,
            "fingerprint": self.fingerprint,
            "out": str(self.out),
            "people": self.people,
            "proposer": self.proposer,
            "pairs": dict(self.pairs),
            "differ": self.differ,
            "candidates": [each.to_json() for each in self.tried],
            "left_out": [{"rule": each.text, "why": each.why} for each in self.left_out],
            "best": self.best.name if self.best else None,
            "test": self.test.to_json() if self.test else None,
            "level": self.level,
            "accepted": self.accepted,
            "paid": {who: bill.to_json() for who, bill in self.paid.items()},
        }
