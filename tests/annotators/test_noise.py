"""Label noise: at the rate that was asked for, beside the preference, by keyed draws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.draws import Occasion
from annotators.judgement import SPARED, Judgement, Verdict, judgement_of, spared
from annotators.noise import LabelNoise
from db.records import AnnotationStatus

N = 20_000
OCCASIONS = [Occasion(f"pair-{i}", "judge") for i in range(N)]


def near(share: float, expected: float) -> bool:
    """Within five standard errors of a proportion over N draws."""
    return abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / N) + 1e-12


@pytest.mark.parametrize("flip", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("preference", [0.0, 1.0])
@pytest.mark.parametrize("replace", [False, True])
def test_labels_contradict_clear_preferences_at_the_rate(
    flip: float, preference: float, replace: bool
) -> None:
    """Flipping with probability p is replacing by a fair coin with probability 2p (Dubois et al. 2023)."""
    noise = LabelNoise(flip, replace)
    labels = []
    for occasion in OCCASIONS:
        coin = noise.coin(occasion)
        labels.append(noise.label(preference, occasion) if coin is None else coin)
    assert near(sum(label != preference for label in labels) / N, flip)


def test_half_of_the_calls_are_spared_at_a_quarter() -> None:
    noise = LabelNoise(0.25, replace=True)
    assert near(sum(noise.coin(occasion) is not None for occasion in OCCASIONS) / N, 0.5)
    assert all(LabelNoise(0.25).coin(occasion) is None for occasion in OCCASIONS[:100])


def test_two_noisy_annotators_agree_as_theory_says() -> None:
    # Both flip a common truth with p = 1/4: they agree with probability (3/4)^2 + (1/4)^2 = 10/16.
    noise = LabelNoise(0.25)
    pairs = [
        (noise.label(1.0, Occasion(f"p{i}", "one")), noise.label(1.0, Occasion(f"p{i}", "two")))
        for i in range(N)
    ]
    assert near(sum(one == two for one, two in pairs) / N, 10 / 16)


def test_noise_decided_by_instruction_instead_of_pair() -> None:
    """AlpacaFarm seeded noise by the instruction: all pairs of one instruction flipped together."""
    noise = LabelNoise(0.25)
    flipped = {noise.label(1.0, Occasion(f"one instruction, pair {i}", "judge")) for i in range(50)}
    assert flipped == {0.0, 1.0}


def test_replicates_flip_independently_and_a_repetition_flips_alike() -> None:
    noise = LabelNoise(0.25)
    labels = [noise.label(1.0, Occasion("pair", "judge", replicate)) for replicate in range(50)]
    assert set(labels) == {0.0, 1.0}
    assert labels == [noise.label(1.0, Occasion("pair", "judge", replicate)) for replicate in range(50)]


def test_both_orders_of_a_replicate_flip_together() -> None:
    for replicate in range(20):
        occasion = Occasion("pair", "judge", replicate)
        as_stored, exchanged = (
            judgement_of(Verdict(first), swapped, LabelNoise(0.25), occasion)
            for first, swapped in ((1.0, False), (0.0, True))
        )
        assert as_stored.preference == exchanged.preference
        assert as_stored.label == exchanged.label


@given(st.floats(0, 1), st.booleans(), st.floats(0, 0.5))
def test_the_label_stands_beside_the_preference(first: float, swapped: bool, flip: float) -> None:
    judgement = judgement_of(Verdict(first), swapped, LabelNoise(flip), OCCASIONS[0])
    assert judgement.preference == (1 - first if swapped else first)
    assert judgement.label in (judgement.preference, 1 - judgement.preference)


def test_an_unreadable_verdict_has_no_label() -> None:
    judgement = judgement_of(Verdict(None, "no verdict is declared"), True, LabelNoise(0.5), OCCASIONS[0])
    assert judgement == Judgement(None, None, True, AnnotationStatus.UNREADABLE, "no verdict is declared")


def test_a_spared_judgement_says_so_and_claims_no_preference() -> None:
    noise = LabelNoise(0.5, replace=True)
    judgement = spared(False, noise, OCCASIONS[0])
    assert judgement is not None
    assert (judgement.preference, judgement.status, judgement.reason) == (
        None,
        AnnotationStatus.SPARED,
        SPARED,
    )
    assert judgement.label in (0.0, 1.0)
    assert spared(False, LabelNoise(0.5), OCCASIONS[0]) is None


@pytest.mark.parametrize("flip", [-0.1, 0.51, math.nan])
def test_rates_that_cannot_be(flip: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        LabelNoise(flip)
