"""From a verdict on what was shown to a judgement of the pair: the one place where the order is undone."""

from __future__ import annotations

from dataclasses import dataclass

from annotators.draws import Occasion
from annotators.noise import LabelNoise
from db.records import AnnotationStatus

SPARED = "not asked: label noise replaces the judgement"


@dataclass(frozen=True, slots=True)
class Verdict:
    """first: P(the output shown first is preferred), in [0, 1]; None, with a reason, where there is none."""

    first: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement in the pair's canonical order: what an Annotation says beside its ids.

    preference: P(output_a is preferred); label: the preference after noise. A judgement spared by label
    noise has a label, no preference, and the status SPARED.
    """

    preference: float | None
    label: float | None
    swapped: bool
    status: AnnotationStatus = AnnotationStatus.OK
    reason: str | None = None


def judgement_of(verdict: Verdict, swapped: bool, noise: LabelNoise, occasion: Occasion) -> Judgement:
    """The judgement that a verdict amounts to when `swapped` says that output_b was shown first."""
    if verdict.first is None:
        return Judgement(None, None, swapped, AnnotationStatus.UNREADABLE, verdict.reason)
    preference = 1.0 - verdict.first if swapped else verdict.first
    return Judgement(preference, noise.label(preference, occasion), swapped)


def spared(swapped: bool, noise: LabelNoise, occasion: Occasion) -> Judgement | None:
    """The judgement that needs no asking, where label noise would replace it anyway."""
    coin = noise.coin(occasion)
    return None if coin is None else Judgement(None, coin, swapped, AnnotationStatus.SPARED, SPARED)
