"""Rules of benchmarks/claims.yaml: judges by program, which read the world's true features, and an oracle."""

from __future__ import annotations

import math

from farm.world.answers import features
from farm.world.gold import gold


def well_formed(instruction: str, input: str, output: str) -> bool:
    """Whether an answer ends as a text should."""
    return features(instruction, input, output).well_formed == 1


def not_repetitive(instruction: str, input: str, output: str) -> bool:
    """Whether an answer repeats none of its words."""
    return features(instruction, input, output).repetitive == 0


def follows(instruction: str, input: str, output: str) -> bool:
    """Whether an answer has the form that was asked for."""
    return features(instruction, input, output).follows == 1


def soft_gold(instruction: str, input: str, first: str, second: str) -> float:
    """P(first preferred) by the gold utility: its difference as log-odds."""
    lead = gold(instruction, input, first) - gold(instruction, input, second)
    return 1 / (1 + math.exp(-lead))
