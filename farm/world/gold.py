"""The gold utility: the true worth of an answer. Only evaluation may use it.

People and simulated judges have weights of their own for the same features, drawn around these weights.
"""

from __future__ import annotations

from farm.world.answers import Features, features, weighed

WEIGHTS = Features(
    right=1.6,
    complete=2.0,
    relevant=1.0,
    follows=1.0,
    well_formed=1.0,
    courteous=1.8,
    rude=-2.0,
    rambling=-1.6,
    repetitive=-1.2,
)


def gold(instruction: str, input: str, output: str) -> float:
    """The worth of an answer: the weighted sum of its features."""
    return weighed(WEIGHTS, features(instruction, input, output))
