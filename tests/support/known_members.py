"""Panels and cascades of judges whose utilities are known, as files, and what theory says of their votes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np

from annotators.simulator import Judge, Simulator, SimulatorConfig
from annotators.simulator.judges import utility_of
from db.records import Pair
from farm.statistics.agreement import Floats

ASKED = "annotator: single-token, decoding: {temperature: 1, max_tokens: 1}"


def composite_file(path: Path, kind: str, models: Sequence[str], *lines: str, asked: str = ASKED) -> str:
    """A panel or cascade of judges that err by their own noise, each named as its model."""
    members = [f"- {{name: {model}, model: {model}, {asked}}}" for model in models]
    path.write_text("\n".join([f"kind: {kind}", f"name: {path.stem}", *lines, "members:", *members, ""]))
    return str(path)


@contextmanager
def served(judges: Mapping[str, Judge]) -> Iterator[Simulator]:
    """These judges, each as the model of its name."""
    with Simulator(SimulatorConfig(judges=judges, models=tuple(judges))) as simulator:
        yield simulator


def chances(judge: Judge, pairs: Sequence[Pair]) -> Floats:
    """P(the judge prefers output_a) of each pair: sigmoid((u_a - u_b) / noise)."""
    worth = utility_of(judge)
    lead = [
        worth(pair.instruction.text, "", pair.output_a.text)
        - worth(pair.instruction.text, "", pair.output_b.text)
        for pair in pairs
    ]
    chance: Floats = 1 / (1 + np.exp(-np.array(lead) / judge.noise))
    return chance


def chance_of_votes(each: Sequence[Floats]) -> dict[tuple[int, ...], Floats]:
    """Of independent judges, P(these are their votes) for each combination of votes (1: output_a)."""
    return {
        votes: np.prod([p if vote else 1 - p for vote, p in zip(votes, each, strict=True)], axis=0)
        for votes in product((0, 1), repeat=len(each))
    }
