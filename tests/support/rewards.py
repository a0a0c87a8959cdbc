"""Rules in Python that a test names as a reward."""

from __future__ import annotations


def letters(instruction: str, input: str, output: str) -> float:
    """How many characters of an output are lower-case letters."""
    return float(sum(each.islower() for each in output))
