"""Pools whose members' utilities are known, and what theory says of their judgements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from annotators.simulator import Judge, Simulator, SimulatorConfig
from annotators.simulator.judges import utility_of
from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.statistics.agreement import Floats


@dataclass(frozen=True)
class Known:
    """A pool of judges of known utilities. weights, judges: by the model's name."""

    weights: Mapping[str, float]
    judges: Mapping[str, Judge]

    def file(self, path: Path, flip: float = 0.0, seed: int = 0) -> Path:
        """The pool as a file, at temperature 1, where a judge errs by its own noise."""
        lines = [
            f"name: {path.stem}",
            f"seed: {seed}",
            "temperature: 1",
            f"noise: {{flip: {flip}}}",
            "members:",
        ]
        for name, weight in self.weights.items():
            lines.append(f"- {{name: {name}, annotator: single-token, model: {name}, weight: {weight}}}")
        path.write_text("\n".join(lines))
        return path

    def chances(self, pairs: Sequence[Pair], flip: float = 0.0) -> Floats:
        """P(a label of the pool prefers output_a) of each pair: p + (1 - 2p) Σ w sigmoid(u_a - u_b)."""
        total = sum(self.weights.values())
        mean = np.zeros(len(pairs))
        for name, weight in self.weights.items():
            judge = self.judges[name]
            worth = utility_of(judge)
            lead = [
                worth(pair.instruction.text, "", pair.output_a.text)
                - worth(pair.instruction.text, "", pair.output_b.text)
                for pair in pairs
            ]
            mean += weight / total / (1 + np.exp(-np.array(lead) / judge.noise))
        return flip + (1 - 2 * flip) * mean

    @contextmanager
    def served(self) -> Iterator[Simulator]:
        with Simulator(SimulatorConfig(judges=self.judges, models=tuple(self.judges))) as simulator:
            yield simulator


def pairs_of(count: int) -> list[Pair]:
    made = []
    for i in range(count):
        asked = Instruction(f"Say something about the number {i}.")
        made.append(
            Pair.of(Output(asked, f"It is {i}.", "m"), Output(asked, f"{i} follows {i - 1}.", "n"))[0]
        )
    return made


Where = TypeVar("Where", Path, str)
"""A file or an address."""

Said = tuple[AnnotatorCard, Sequence[float] | Floats]
"""Somebody, and the preference on each pair."""


def write(path: Where, pairs: Sequence[Pair], *verdicts: Said) -> Where:
    """A ledger with these pairs, and what is said of them."""
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        ids = writer.pairs(pairs)
        for card, said in verdicts:
            [number] = writer.annotators([card])
            each = zip(ids, said, strict=True)
            writer.annotations([Annotation(pair, number, float(p), float(p), False) for pair, p in each])
    return path


def people_of(chances: Floats, persons: int, seed: int) -> list[Said]:
    """So many people who vote with these chances."""
    dice = np.random.default_rng(seed)
    cards = [AnnotatorCard(f"person-{k}", AnnotatorKind.HUMAN) for k in range(persons)]
    return [(card, (dice.random(len(chances)) < chances).astype(float)) for card in cards]
