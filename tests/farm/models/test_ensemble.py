"""Several reward models as one: hand-worked values, and what must hold for any members."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, tensor

from farm.models.ensemble import Ensemble, Standard, combined, standardised
from farm.models.tokens import Prompt
from farm.training.rollout import noting

SCORES = tensor([[1.0], [0.4], [0.7]], dtype=torch.float64)
PLAIN = Standard(0.0, 1.0)


def test_combinations_by_hand() -> None:
    """Of 1, 0.4, 0.7 the mean is 0.7, the minimum 0.4, the standard deviation √((0.09 + 0.09) / 2) = 0.3."""
    assert combined(SCORES, "mean", 1.0).item() == pytest.approx(0.7)
    assert combined(SCORES, "minimum", 1.0).item() == 0.4
    assert combined(SCORES, "lower_bound", 1.0).item() == pytest.approx(0.4)
    assert combined(SCORES, "lower_bound", 2.0).item() == pytest.approx(0.1)
    assert combined(SCORES, "lower_bound", 0.0).item() == pytest.approx(0.7)


def test_the_minimum_does_not_follow_the_member_with_the_lowest_offset() -> None:
    """Member 2 says the same as member 1 but 100 lower and three times as wide: both count alike."""
    first = tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    scores = torch.stack([first, 3 * first - 100])
    standards = [Standard.of(each) for each in scores]
    assert standards == [(1.0, 1.0), (pytest.approx(-97.0), pytest.approx(3.0))]
    one_scale = standardised(scores, standards)  # s̄ = 2, μ̄ = −48: −2 − 48, −48, 2 − 48
    assert one_scale.tolist() == [pytest.approx([-50.0, -48.0, -46.0])] * 2
    assert combined(one_scale, "lower_bound", 1.0).tolist() == pytest.approx([-50.0, -48.0, -46.0])


def says(*scores: float) -> Ensemble:
    def member(score: float) -> object:
        return lambda prompts, responses: torch.full((len(responses),), score)

    members: Sequence[object] = [member(score) for score in scores]
    return Ensemble(members, [PLAIN] * len(scores), "lower_bound", 1.0)  # type: ignore[arg-type]


def test_a_members_missing_score_is_the_ensembles() -> None:
    assert math.isnan(says(1.0, math.nan)([Prompt("q")], ["a"]).item())
    assert says(1.0, math.inf)([Prompt("q")], ["a"]).item() == math.inf
    assert says(1.0, -math.inf)([Prompt("q")], ["a"]).item() == math.inf, "infinite says: no number"


def test_a_rollout_hears_of_the_disagreement_of_an_ensemble_alone() -> None:
    apart: list[Tensor] = []
    score = noting(says(1.0, 0.4, 0.7), apart)([Prompt("q")] * 2, ["a", "b"])
    assert score.tolist() == pytest.approx([0.4, 0.4])
    assert apart[0].tolist() == pytest.approx([0.3, 0.3])
    assert noting(says, apart) is says  # type: ignore[arg-type, comparison-overlap]
    assert len(apart) == 1
