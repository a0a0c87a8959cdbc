"""Draws from a geometric mixture of two policies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from db.errors import ConfigError
from farm.config import Decoding
from farm.models.generation import sample
from farm.models.mixture import Mixture
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from tests.support.objectives import VECTORS
from tests.support.tiny_models import ModelMaker

COLD = Decoding(temperature=0.0, max_new_tokens=6)
WARM = Decoding(temperature=0.7, max_new_tokens=6)


@pytest.fixture(scope="module")
def two(make_model: ModelMaker) -> tuple[Policy, Policy]:
    """Two models of unlike depth with one tokenizer."""
    return Policy.load(str(make_model(seed=1))), Policy.load(str(make_model(seed=2, layers=3)))


PROMPTS = [[1, 40, 41, 42], [1, 50], [1, 40, 41, 42], [1, 60, 61, 62, 63, 64, 65]]


def test_at_the_ends_it_is_one_of_the_policies(two: tuple[Policy, Policy]) -> None:
    for share, alone in ((0.0, two[0]), (1.0, two[1])):
        found = sample(Mixture(*two, share), PROMPTS, WARM, seed=3, n=3)
        expected = sample(alone, PROMPTS, WARM, seed=3, n=3)
        assert [each.ids for each in found] == [each.ids for each in expected]


def test_each_token_has_the_probability_of_the_renormalised_mixture(two: tuple[Policy, Policy]) -> None:
    """Against both models' own passes over the whole row, in slots that fill and empty."""
    share, drawn = 0.3, sample(Mixture(*two, 0.3), PROMPTS, WARM, seed=3, n=3, slots=2)
    for place, one in enumerate(drawn):
        prompt = PROMPTS[place // 3]
        ids = torch.tensor([[*prompt, *one.ids]])
        tokens = Tokens(ids, torch.tensor([[False] * len(prompt) + [True] * len(one.ids)]))
        with torch.no_grad():
            logps = [each.response_logits(tokens).div(WARM.temperature).log_softmax(-1) for each in two]
        mixed = ((1 - share) * logps[0] + share * logps[1]).log_softmax(-1)
        expected = mixed.gather(1, torch.tensor(one.ids)[:, None])[:, 0]
        assert one.logps == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_mixture_is_trls(two: tuple[Policy, Policy], monkeypatch: pytest.MonkeyPatch) -> None:
    """On logits for which TRL 1.12 recorded its own: what both models say is put in the place of passes."""
    [case] = json.loads((VECTORS / "fresh_objectives.json").read_text())["methods"]["nash_md_mixture"]
    for policy, name in zip(two, ("logits", "ref_logits"), strict=True):
        said = torch.tensor(case[name][0])
        monkeypatch.setattr(policy, "step_logits", lambda *_, said=said: said)
    nothing = torch.zeros(2, 1, dtype=torch.long)
    mixed = Mixture(*two, case["options"]["mixture_coef"])
    found = mixed.step_logits(nothing, nothing, nothing, DynamicCache()).log_softmax(-1)
    expected = torch.tensor(case["log_probs"][0]).flatten().tolist()
    assert found.flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_policies_that_write_other_tokens_cannot_be_mixed(two: tuple[Policy, Policy], tmp_path: Path) -> None:
    two[1].save(tmp_path)
    other = Policy.load(str(tmp_path))
    other.codec.tokenizer.add_tokens(["more"])
    with pytest.raises(ConfigError, match="the reference writes other tokens than the policy"):
        Mixture(two[0], other, 0.5)
