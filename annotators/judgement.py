"""From a verdict on what was shown to a judgement of the pair. The order is undone here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from annotators.draws import Occasion
from annotators.noise import LabelNoise
from db.records import AnnotationStatus, AspectVerdict, Degree

SPARED = "not asked: label noise replaces the judgement"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply says of one question.

    first: P(the output shown first is preferred), in [0, 1]; None where there is none. reason: why there is
    none, or what it was made of. degree: how much better. aspects: verdicts on single criteria, also as
    shown. is_open: nothing was asked of this pair that it could say, so the pair stays open.
    """

    first: float | None
    reason: str | None = None
    degree: Degree | None = None
    aspects: tuple[AspectVerdict, ...] = ()
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement in the order of the pair: what an Annotation says beside its ids.

    preference: P(output_a is preferred). label: the preference after label noise. A judgement that label
    noise replaced has a label, no preference, and the status SPARED.
    """

    preference: float | None
    label: float | None
    swapped: bool
    status: AnnotationStatus = AnnotationStatus.OK
    reason: str | None = None
    degree: Degree | None = None
    aspects: tuple[AspectVerdict, ...] = ()


def judgement_of(verdict: Verdict, swapped: bool, noise: LabelNoise, occasion: Occasion) -> Judgement:
    """Turn a verdict into a judgement. swapped: output_b was shown first."""
    if verdict.first is None:
        status = AnnotationStatus.CONTESTED if verdict.is_open else AnnotationStatus.UNREADABLE
        return Judgement(None, None, swapped, status=status, reason=verdict.reason)
    preference = _of_pair(verdict.first, swapped)
    return Judgement(
        preference,
        noise.label(preference, occasion),
        swapped,
        reason=verdict.reason,
        degree=verdict.degree,
        aspects=tuple(each.turned if swapped else each for each in verdict.aspects),
    )


def _of_pair(first: float, swapped: bool) -> float:
    """P(output_a is preferred) of P(the output shown first is preferred)."""
    return 1.0 - first if swapped else first


def spared(swapped: bool, noise: LabelNoise, occasion: Occasion) -> Judgement | None:
    """The judgement that label noise replaces, so that nobody is asked; None where it replaces none."""
    coin = noise.coin(occasion)
    if coin is None:
        return None
    return Judgement(None, coin, swapped, status=AnnotationStatus.SPARED, reason=SPARED)


def failed(reason: str, swapped: bool) -> Judgement:
    """The judgement of a question that got no usable answer. reason: why."""
    return Judgement(None, None, swapped, status=AnnotationStatus.FAILED, reason=reason)
