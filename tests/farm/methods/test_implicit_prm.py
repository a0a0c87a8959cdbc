"""Token rewards from labels of outputs: the loss by hand, a fault that is found, the reward of its folder."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from torch import Tensor, tensor

from farm.config import ModelConfig
from farm.methods.implicit_prm import ImplicitPRM, ImplicitPRMConfig, implicit_prm_loss
from farm.methods.sft import SFT, SFTConfig
from farm.models.codec import collate
from farm.models.hub import ModelError
from farm.models.log_ratio import LogRatio, token_rewards
from farm.models.policy import Policy
from farm.models.reward_cards import REWARD_FILE
from farm.models.rewards import load_reward
from farm.models.tokens import Prompt
from farm.training.checkpoint import RunFolder
from farm.training.data import Data, Demonstration, JudgedOutput
from farm.training.judged_method import RatedOutputs
from farm.training.loop import fit
from farm.training.method import Method
from farm.training.pair_method import RatedResponses
from farm.training.run_models import LoadedModels
from tests.support.on_policy import NoCheckpoints


def loss(log_ratio: float, label: float, **options: float) -> float:
    rated = RatedOutputs(RatedResponses(tensor([log_ratio]), 0.0, tensor([3])), label, 0.0)
    return implicit_prm_loss(rated, ImplicitPRMConfig(**options)).item()  # type: ignore[arg-type]


def test_the_loss_by_hand() -> None:
    """A pair at the reference costs 2 log 2. At β Δ = log 3, σ = ¾: −log ¾ if right, −log ¼ if wrong."""
    assert loss(0.0, 1.0) + loss(0.0, 0.0) == pytest.approx(2 * math.log(2))
    ratio = math.log(3) / 0.05
    assert loss(ratio, 1.0) == pytest.approx(-math.log(3 / 4), rel=1e-5)
    assert loss(ratio, 0.0) == pytest.approx(-math.log(1 / 4), rel=1e-5)
    assert loss(ratio, 0.25) == pytest.approx(-0.25 * math.log(3 / 4) - 0.75 * math.log(1 / 4), rel=1e-5)
    assert loss(0.0, 1.0, offset=math.log(3)) == pytest.approx(-math.log(3 / 4))


def test_token_rewards_by_hand_sum_to_the_reward() -> None:
    logps, reference = tensor([[-9.0, -1.0, -2.0]]), tensor([[5.0, -2.0, -1.5]])
    found = token_rewards(logps, reference, tensor([[False, True, True]]), 0.5)
    assert found.tolist() == [[0.0, 0.5, -0.25]]


CODE = "abcdefgh"
ALL = [JudgedOutput(Prompt("q"), "abc", 1.0), JudgedOutput(Prompt("q"), "xyz", 0.0)]


def answers(count: int, seed: int) -> list[tuple[Prompt, str, int | None]]:
    """Answers that spell the alphabet from a letter on. Every other one has a wrong letter, at this place."""
    draws = random.Random(seed)
    made: list[tuple[Prompt, str, int | None]] = []
    for i in range(count):
        start = draws.randrange(8)
        text = [CODE[(start + k) % 8] for k in range(8)]
        wrong = draws.randrange(1, 8) if i % 2 else None
        if wrong is not None:
            text[wrong] = draws.choice([c for c in CODE if c != text[wrong]])
        made.append((Prompt("spell"), "".join(text), wrong))
    return made


def found_at_the_fault(ratio: LogRatio, held_out: Sequence[tuple[Prompt, str, int | None]]) -> float:
    """Share of wrong answers whose lowest token reward is at the wrong letter."""
    faulty = [each for each in held_out if each[2] is not None]
    rows = [ratio.codec.row(prompt, text) for prompt, text, _ in faulty]
    rewards: Tensor = ratio.token_rewards(collate(rows, ratio.codec.pad_id))
    lowest = [int(rewards[i, len(row.prompt) : len(row.prompt) + 8].argmin()) for i, row in enumerate(rows)]
    places = [each[2] for each in faulty]
    return sum(a == b for a, b in zip(lowest, places, strict=True)) / len(faulty)


def test_labels_of_whole_answers_find_the_wrong_letter(make_model: Any, tmp_path: Path) -> None:
    """Chance is 1/8. The reference writes such answers, right and wrong: of it the value of a prefix is."""
    writer, untrained = SFTConfig(epochs=6.0, batch_size=32, learning_rate=5e-3), str(make_model())
    written = [Demonstration(prompt, text) for prompt, text, _ in answers(400, 2)]
    sft = SFT(writer, Data(written), LoadedModels(untrained, writer))
    fit(cast(Method[Any], sft), writer, lambda *_: None, cast(RunFolder, NoCheckpoints()))
    model = str(tmp_path / "sft")
    sft.product.save(Path(model))
    data = [JudgedOutput(prompt, text, float(wrong is None)) for prompt, text, wrong in answers(400, 0)]
    config = ImplicitPRMConfig(epochs=4.0, batch_size=32, learning_rate=1e-3, beta=1.0)
    method = ImplicitPRM(config, Data(data), LoadedModels(model, config))
    fit(cast(Method[Any], method), config, lambda *_: None, cast(RunFolder, NoCheckpoints()))
    held_out = answers(60, 1)
    ratio = LogRatio(method.policy.eval(), Policy.load(model), 1.0, "sum")
    assert found_at_the_fault(ratio, held_out) > 0.4
    method.product.save(tmp_path / "prm")
    scores = load_reward(str(tmp_path / "prm"), ModelConfig())(
        [each[0] for each in held_out], [each[1] for each in held_out]
    )
    right = tensor([each[2] is None for each in held_out])
    assert scores[right].mean() > scores[~right].mean() + 1


def test_its_folder_names_the_reference_and_reads_sum_or_mean(
    model_dir: str, make_model: Any, tmp_path: Path
) -> None:
    other = str(make_model(seed=5))
    scores = {}
    for read in ("sum", "mean"):
        config = ImplicitPRMConfig(read=read, beta=0.5)
        ImplicitPRM(config, Data(ALL), LoadedModels(model_dir, config, reference=other)).product.save(
            tmp_path / read
        )
        scores[read] = load_reward(str(tmp_path / read), ModelConfig())([Prompt("q")], ["abc"]).item()
    policy, reference = Policy.load(model_dir), Policy.load(other)
    tokens = collate([policy.codec.row(Prompt("q"), "abc")], 0)
    expected = 0.5 * float((policy(tokens) - reference(tokens)).sum())
    assert scores["sum"] == pytest.approx(expected, rel=1e-4)
    assert scores["mean"] == pytest.approx(expected / 4, rel=1e-4), "three letters and the end"
    card = tmp_path / "sum" / REWARD_FILE
    told = json.loads(card.read_text())
    card.write_text(json.dumps(told | {"reference": model_dir}))
    with pytest.raises(ModelError, match="another model than when the policy was trained"):
        load_reward(str(card.parent), ModelConfig())
    card.write_text(json.dumps({"kind": "log_ratio", "reference": other, "beta": 0.5}))
    assert load_reward(str(card.parent), ModelConfig())([Prompt("q")], ["abc"]).item() == scores["sum"]
    for wrong in ({"beta": 0}, {"read": "least"}, {"beta": "x"}):
        card.write_text(json.dumps(told | wrong))
        with pytest.raises(ModelError, match="cannot be used"):
            load_reward(str(card.parent), ModelConfig())
