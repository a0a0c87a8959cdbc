import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import pad
from transformers import AutoModelForSequenceClassification

from farm.models.codec import Row, collate
from farm.models.scorer import Scorer, ScorerReward
from farm.models.tokens import Prompt, Tokens

ROWS = [Row([10, 11, 12], [20, 21, 2]), Row([10], [30, 2]), Row([9, 8, 7, 6], [5, 4, 3, 20, 2])]


@pytest.mark.parametrize("fixture", ["model_dir", "pad_is_eos_dir"])
def test_the_score_is_read_at_the_end_of_sequence_whatever_the_padding(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    scorer = Scorer.load(request.getfixturevalue(fixture), seed=1, new_head=True).eval()
    pad_id = scorer.codec.pad_id
    tokens = collate(ROWS, pad_id)
    scores = scorer(tokens)
    for row, score in zip(ROWS, scores, strict=True):
        hidden = scorer.model.base_model(torch.tensor([row.prompt + row.response])).last_hidden_state
        assert score.item() == pytest.approx(scorer.model.score(hidden[0, -1]).item(), abs=1e-5)
    wide = Tokens(pad(tokens.ids, (4, 6), value=pad_id), pad(tokens.mask, (4, 6)))
    columns = torch.arange(19)
    lengths = torch.tensor([row.length for row in ROWS])[:, None]
    wide = wide._replace(attention=(columns >= 4) & (columns < 4 + lengths))
    assert torch.allclose(scorer(wide), scores, atol=1e-5)


def test_values_stand_before_the_token_they_are_about(model_dir: str) -> None:
    scorer = Scorer.load(model_dir, seed=1, new_head=True).eval()
    tokens = collate(ROWS, 0)
    values = scorer.values(tokens)
    hidden = scorer.model.base_model(torch.tensor([ROWS[0].prompt + ROWS[0].response])).last_hidden_state
    states = scorer.model.score(hidden)[0, :, 0]
    assert torch.allclose(values[0, 3:6], states[2:5], atol=1e-5)
    assert not values[~tokens.mask].any()


def test_saved_scorers_give_the_same_scores_by_transformers_alone(tmp_path: Path, model_dir: str) -> None:
    scorer = Scorer.load(model_dir, seed=1, new_head=True).eval()
    scorer.save(tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    tokens = collate(ROWS, scorer.codec.pad_id)
    assert torch.allclose(plain(tokens.ids).logits[:, 0], scorer(tokens), atol=1e-5)
    assert torch.allclose(Scorer.load(str(tmp_path))(tokens), scorer(tokens), atol=1e-6)


def test_new_heads_are_a_function_of_the_seed(model_dir: str) -> None:
    heads = [Scorer.load(model_dir, seed=s, new_head=True).model.score.weight for s in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert heads[0].std().item() == pytest.approx(33**-0.5, rel=0.5)


def test_text_beyond_the_context_has_no_score(scorer_dir: str) -> None:
    """256 positions, a token for each byte."""
    long, short = ScorerReward(Scorer.load(scorer_dir))([Prompt("q")] * 2, ["x" * 300, "x"]).tolist()
    assert math.isnan(long)
    assert math.isfinite(short)


def test_a_reward_is_the_score_of_the_text_with_its_end(model_dir: str) -> None:
    scorer = Scorer.load(model_dir, seed=1, new_head=True).eval()
    prompts = [Prompt("a"), Prompt("b", "c"), Prompt("d")]
    responses = ["one", "", "two words"]
    rewards = ScorerReward(scorer, batch_rows=2)(prompts, responses)
    for prompt, response, reward in zip(prompts, responses, rewards, strict=True):
        tokens = collate([scorer.codec.row(prompt, response)], 0)
        assert reward.item() == pytest.approx(scorer(tokens).item(), abs=1e-5)
    with pytest.raises(ValueError, match="shorter"):
        ScorerReward(scorer)(prompts, responses[:2])


def test_responses_that_are_alike_are_read_once_and_score_the_same(scorer_dir: str) -> None:
    scorer, read = Scorer.load(scorer_dir), []
    scorer.register_forward_pre_hook(lambda _, given: read.append(len(given[0].ids)))
    prompts = [Prompt("q"), Prompt("q"), Prompt("p"), Prompt("q"), Prompt("q", "p")]
    responses = ["yes", "no", "yes", "yes", "yes"]
    scores = ScorerReward(scorer, batch_rows=3)(prompts, responses).tolist()
    assert sum(read) == 4
    assert scores[0] == scores[3]
    assert len(set(scores)) == 4
    alone = [ScorerReward(scorer)([p], [r]).item() for p, r in zip(prompts, responses, strict=True)]
    assert scores == pytest.approx(alone, abs=1e-6)
