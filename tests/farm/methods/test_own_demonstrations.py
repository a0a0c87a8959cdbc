"""Methods that imitate outputs chosen by preferences or a reward: what they choose, and that they train."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import tensor

from db.errors import ConfigError
from farm.config import build
from farm.methods import load
from farm.methods.best_of_n import Scored
from farm.methods.binary_feedme import preferred
from farm.methods.binary_reward_conditioning import (
    BinaryRewardConditioning,
    BinaryRewardConditioningConfig,
    labelled,
)
from farm.methods.expert_iteration import best_demonstrations
from farm.methods.feedme import top_demonstrations
from farm.methods.reward_conditioning import conditioned
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.training.checkpoint import RunFolder
from farm.training.controls import quantile_levels
from farm.training.data import Data, PreferencePair
from farm.training.loop import fit
from farm.training.method import Method
from farm.training.run_models import LoadedModels
from tests.support.tiny_models import ModelMaker

PROMPTS = [Prompt(f"p{i}") for i in range(6)]
PAIRS = [PreferencePair(p, f"good {i}", f"bad {i}", 1.0) for i, p in enumerate(PROMPTS)]
SCORED = Scored(
    PROMPTS[:2],
    [["a", "b"], ["c", "d"]],
    tensor([[1.0, 4.0], [3.0, 2.0]]),
    tensor([[True, False], [True, True]]),
)
GENERATING = ("expert_iteration", "feedme", "reward_conditioning")
ALL = (*GENERATING, "binary_feedme", "binary_reward_conditioning")


def longest(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    return tensor([float(len(r)) for r in responses])


def test_expert_iteration_takes_the_best_of_each_prompt() -> None:
    found = best_demonstrations(SCORED)
    assert [(d.prompt, d.output, d.ended) for d in found] == [
        (PROMPTS[0], "b", False),
        (PROMPTS[1], "c", True),
    ]


def test_feedme_takes_the_best_over_all_prompts() -> None:
    assert [d.output for d in top_demonstrations(SCORED, 0.5)] == ["b", "c"]
    assert [d.output for d in top_demonstrations(SCORED, 0.25)] == ["b"]
    assert [d.output for d in top_demonstrations(SCORED, 1.0)] == ["a", "b", "c", "d"]


def test_feedme_keeps_equal_scores_together() -> None:
    tied = SCORED._replace(scores=tensor([[1.0, 2.0], [2.0, 2.0]]))
    assert [d.output for d in top_demonstrations(tied, 0.5)] == ["b", "c", "d"]


def test_binary_feedme_takes_the_preferred_output_and_says_that_ties_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pairs = [
        *PAIRS[:1],
        PreferencePair(PROMPTS[1], "bad", "good", 0.2),
        PreferencePair(PROMPTS[2], "x", "y", 0.5),
    ]
    with caplog.at_level(logging.WARNING):
        assert [d.output for d in preferred(pairs)] == ["good 0", "good"]
    assert "1 of 3 pairs are ties" in caplog.text


def test_binary_reward_conditioning_marks_both_outputs() -> None:
    found = [(d.output, d.control) for d in labelled([PreferencePair(PROMPTS[0], "x", "y", 0.0)])]
    assert found == [("y", "<|quality_1|>"), ("x", "<|quality_0|>")]


def test_quantile_levels_by_hand() -> None:
    assert quantile_levels(tensor([[5.0, 1.0], [3.0, 2.0]]), 4).tolist() == [[3, 0], [2, 1]]
    assert quantile_levels(tensor([[5.0, 1.0], [3.0, 2.0]]), 2).tolist() == [[1, 0], [1, 0]]
    assert quantile_levels(tensor([0.0, 1.0, 2.0, 3.0, 4.0]), 4).tolist() == [0, 0, 1, 2, 3]


def test_equal_scores_share_a_level_and_the_best_score_has_the_highest() -> None:
    assert quantile_levels(tensor([[1.0, 1.0, 1.0, 2.0]]), 4).tolist() == [[0, 0, 0, 3]]
    assert quantile_levels(tensor([0.0, 1.0, 1.0, 1.0]), 4).tolist() == [0, 3, 3, 3]
    assert quantile_levels(tensor([0.0, 0.0, 1.0, 1.0]), 4).tolist() == [0, 0, 3, 3]
    assert quantile_levels(tensor([1.0, 1.0]), 4, tensor([0.0, 1.0, 1.0, 2.0])).tolist() == [1, 1]
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randint(0, 1 + seed % 4, (1 + seed % 9,), generator=generator)
        levels = quantile_levels(scores, 4)
        assert (levels[scores == scores.max()] == 3).all()
        assert levels.min() >= 0
        assert all((levels[scores == score] == levels[scores == score][0]).all() for score in scores)


def test_reward_conditioning_marks_every_response_with_its_level() -> None:
    found = {d.output: d.control for d in conditioned(SCORED, 4)}
    assert found == {"a": "<|quality_0|>", "b": "<|quality_3|>", "c": "<|quality_2|>", "d": "<|quality_1|>"}


@pytest.mark.parametrize("name", ALL)
def test_each_trains_and_saves(name: str, tmp_path: Path, make_model: ModelMaker) -> None:
    source = str(make_model(end_bias=2.0))
    method_class = load(name)
    sampling: dict[str, Any] = {"n": 4, "max_new_tokens": 8} if name in GENERATING else {}
    config = method_class.Config(batch_size=4, epochs=6.0, learning_rate=3e-3, log_every=1, **sampling)
    records: Sequence[object] = PROMPTS if name in GENERATING else PAIRS
    method = method_class(config, Data(records, records[:2]), LoadedModels(source, config, reward=longest))
    log = []
    fit(method, config, lambda _, metrics: log.append(metrics), RunFolder(tmp_path, config))
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < 0.9 * losses[0]
    assert "eval/loss" in log[-1]
    (checkpoint,) = tmp_path.iterdir()
    saved = Policy.load(str(checkpoint / "model"))
    last = saved.codec.prompt_ids(PROMPTS[0])[-1]
    if "conditioning" in name:
        top = 3 if name == "reward_conditioning" else 1
        assert saved.codec.tokenizer.convert_ids_to_tokens(last) == f"<|quality_{top}|>"
    else:
        assert saved.codec.tokenizer.convert_ids_to_tokens(last) == "Ċ"


@pytest.mark.parametrize("name", GENERATING)
def test_what_is_drawn_is_a_function_of_the_seed(name: str, make_model: ModelMaker) -> None:
    source = str(make_model(end_bias=2.0))
    config = build(load(name).Config, {"batch_size": 4, "n": 2, "max_new_tokens": 8})
    one, other = (
        cast(Any, load(name)(config, Data(PROMPTS), LoadedModels(source, config, reward=longest)))
        for _ in range(2)
    )
    assert one.feed.rows == other.feed.rows


def test_resume_draws_and_learns_as_if_it_had_not_stopped(tmp_path: Path, make_model: ModelMaker) -> None:
    """The responses are drawn anew; new embeddings of the quality tokens come from the checkpoint."""
    source, trainer = str(make_model(end_bias=2.0)), load("reward_conditioning")
    options = {"n": 4, "max_new_tokens": 8, "batch_size": 4, "learning_rate": 3e-3, "save_every": 2}

    steps: list[int] = []

    def run(folder: str, stop: int | None = None) -> dict[str, torch.Tensor]:
        steps.clear()
        config = build(trainer.Config, {**options, "log_every": 1})
        method = trainer(config, Data(PROMPTS), LoadedModels(source, config, reward=longest))

        def crash(step: int, metrics: Mapping[str, float]) -> None:
            steps.append(step)
            if step == stop:
                raise KeyboardInterrupt

        fit(method, config, crash, RunFolder(tmp_path / folder, config))
        return dict(method.trained.state_dict())

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", stop=5)
    resumed = run("cut")
    assert steps[0] == 5, "the checkpoint is that of step 4"
    assert all(torch.equal(weight, resumed[name]) for name, weight in whole.items())


def test_conditioning_separates_good_from_bad(tmp_path: Path, model_dir: str) -> None:
    """After training, a response is likelier under its own token than under the other."""
    config = BinaryRewardConditioningConfig(batch_size=6, epochs=40.0, learning_rate=3e-3)
    pairs = [PreferencePair(p, "yes", "no", 1.0) for p in PROMPTS]
    method = BinaryRewardConditioning(config, Data(pairs), LoadedModels(model_dir, config))
    fit(cast(Method[Any], method), config, lambda *_: None, RunFolder(tmp_path, config))
    from farm.models.codec import collate

    codec = method.policy.codec
    rows = [codec.row(PROMPTS[0], text, f"<|quality_{k}|>") for text in ("yes", "no") for k in (1, 0)]
    with torch.no_grad():
        yes_good, yes_bad, no_good, no_bad = method.policy(collate(rows, 0)).sum(1).tolist()
    assert yes_good > yes_bad + 1
    assert no_bad > no_good + 1


@pytest.mark.parametrize("name", ["reward_conditioning", "binary_reward_conditioning"])
def test_control_tokens_need_their_embeddings_trained(name: str) -> None:
    with pytest.raises(ConfigError, match="lora_rank must be 0"):
        load(name).Config(lora_rank=4)


def test_a_missing_reward_model_is_a_clear_error(model_dir: str) -> None:
    config = load("expert_iteration").Config()
    with pytest.raises(ConfigError, match="needs a reward model"):
        load("expert_iteration")(config, Data(PROMPTS), LoadedModels(model_dir, config))
