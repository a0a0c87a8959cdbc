"""Prefer to classify: the authors' loss lines by hand, partners, splits of a step, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.autograd import gradcheck

from farm.config import ModelConfig
from farm.methods import p2c
from farm.methods.p2c import P2C, P2CConfig, majority, p2c_loss
from farm.models.codec import Row
from farm.models.rewards import load_reward
from farm.models.tokens import Prompt
from farm.training.data import Data, DataError, JudgedOutput
from farm.training.run_models import LoadedModels
from tests.support.command_line import refused, told
from tests.support.objectives import Shared, step_gradient

SHARES = [1.0, 0.0, 2 / 3, 1 / 3, 1.0, 1 / 3, 2 / 3, 0.0]
RECORDS = [
    JudgedOutput(Prompt(f"say {i}"), "yes " * (1 + i % 4) + "n" * i, share) for i, share in enumerate(SHARES)
]
ALONE = P2CConfig(consistency=0.0, preference=0.0, diversity=0.0)  # the class


def ce(target: float, p: float) -> float:
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_class_is_the_majority() -> None:
    assert majority(tensor([1.0, 2 / 3, 0.5, 1 / 3])).tolist() == [1, 1, 0.5, 0]
    logit, votes = tensor([[2.0, -1.0], [0.0, 1.0]]), tensor([[1.0, 0.0], [2 / 3, 1 / 3]])
    loss = p2c_loss(logit, torch.zeros(2, 2, 3), votes, ALONE)
    by_hand = [(ce(1, sigma(2)) + ce(1, 0.5)) / 2, (ce(0, sigma(-1)) + ce(0, sigma(1))) / 2]
    assert loss.tolist() == pytest.approx(by_hand)


def theirs(
    soft_1: Sequence[float], soft_2: Sequence[float], p_1: Sequence[float], p_2: Sequence[float]
) -> float:
    """The authors' rule for shares of votes, over both classes: a difference of shares is to be reached."""
    found = 0.0
    for a, b, p, q in zip(soft_1, soft_2, p_1, p_2, strict=True):
        found += max(0.0, (a - b) - (p - q)) if a >= b else max(0.0, (p - q) - (a - b))
    return found


def test_agreement_is_the_authors_sum_over_both_classes() -> None:
    """Shares 1 and ⅔, probabilities .7 and .6: 2 (⅓ − .1). Far enough apart: 0. Equal shares: |.7 − .6|."""
    cases = [
        ((1.0, 2 / 3), (0.7, 0.6), 2 * (1 / 3 - 0.1)),
        ((2 / 3, 1.0), (0.7, 0.6), 2 * (1 / 3 + 0.1)),
        ((1.0, 2 / 3), (0.95, 0.6), 0.0),
        ((1.0, 1.0), (0.7, 0.6), 0.1),
        ((0.0, 1 / 3), (0.3, 0.4), 2 * (1 / 3 - 0.1)),
    ]
    for (a, b), (p, q), by_hand in cases:
        found = p2c.agreement_loss(tensor([[p], [q]]), tensor([[a], [b]])).item()
        assert found == pytest.approx(by_hand, abs=1e-6)
        assert found == pytest.approx(theirs((1 - a, a), (1 - b, b), (1 - p, p), (1 - q, q)), abs=1e-6)


def test_preference_and_diversity_by_hand() -> None:
    """Heads of the first 1, 0, −½ and of the second 0: log-odds 1, 0, −½ that the first is preferred."""
    heads, q = tensor([[[1.0, 0.0, -0.5]], [[0.0, 0.0, 0.0]]]), [sigma(1), 0.5, sigma(-0.5)]
    apart = sum(ce(q[k], q[j]) for k in range(3) for j in range(3) if k != j) / 6
    assert p2c.diversity_loss(heads[0] - heads[1]).item() == pytest.approx(apart)
    cases = {(1.0, 2 / 3): 1, (2 / 3, 1.0): 0, (1.0, 1.0): 0.5, (1 / 3, 0.0): 0, (0.0, 1 / 3): 1}
    for votes, first in cases.items():
        config = P2CConfig(consistency=0.0, preference=2.0, diversity=0.5)
        found = p2c_loss(torch.zeros(2, 1), heads, tensor(votes)[:, None], config).item()
        preference = sum(ce(first, each) for each in q) / 3
        assert found == pytest.approx(math.log(2) + 2 * preference - 0.5 * apart), votes


def test_no_gradient_flows_into_the_teacher() -> None:
    """Of CE(a, σ(m)) the gradient at m is σ(m) − a; as teacher it would have another."""
    margins = tensor([[1.0, 0.0, -0.5]], dtype=torch.float64, requires_grad=True)
    [gradient] = torch.autograd.grad(p2c.diversity_loss(margins).sum(), margins)
    q = margins.detach().sigmoid()[0].tolist()
    by_hand = [sum(q[j] - q[k] for k in range(3) if k != j) / 6 for j in range(3)]
    assert gradient[0].tolist() == pytest.approx(by_hand)


def test_gradients() -> None:
    """Without diversity: a difference would move its teacher too."""
    torch.manual_seed(1)
    votes = tensor([[1.0, 0.0, 2 / 3, 1 / 3], [2 / 3, 1 / 3, 2 / 3, 0.0]], dtype=torch.float64)
    logit, heads = (torch.randn(2, 4, *more, dtype=torch.float64, requires_grad=True) for more in ((), (3,)))

    def loss(logit: Tensor, heads: Tensor) -> Tensor:
        return p2c_loss(logit, heads.tanh(), votes, P2CConfig(diversity=0.0))

    assert gradcheck(loss, [logit, heads])


def test_partners_go_round_each_class_anew_in_each_epoch() -> None:
    rows = [p2c.VotedRow(Row([i], [i]), share, i) for i, share in enumerate([*SHARES, 0.5])]
    seen = set()
    for epoch in range(3):
        found = p2c.partners(rows, seed=0, epoch=epoch)
        assert found == p2c.partners(rows, seed=0, epoch=epoch)
        assert sorted(found) == sorted(each.number for each in found.values()) == list(range(9))
        for number, other in found.items():
            assert majority(tensor(other.votes)) == majority(tensor(rows[number].votes))
            assert (other.number == number) == (number == 8), "the only tie is its own partner"
        seen.add(tuple(other.number for _, other in sorted(found.items())))
    assert len(seen) > 1


@pytest.fixture(scope="module")
def shared(make_model: Any) -> Any:
    return Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(shared: Any) -> None:
    whole = step_gradient("p2c", shared, RECORDS, 8, diversity=0.5)
    for micro_batch in (2, 1):
        split = step_gradient("p2c", shared, RECORDS, micro_batch, diversity=0.5)
        assert (split - whole).norm() < 1e-12 * whole.norm()


def test_a_resumed_run_has_the_same_pairs(model_dir: str) -> None:
    config = P2CConfig(batch_size=4, epochs=3.0)
    method = P2C(config, Data(RECORDS, RECORDS[:3]), LoadedModels(model_dir, config))
    steps = [batch.tokens.ids.tolist() for [batch] in method.feed.batches(0)]
    assert [batch.tokens.ids.tolist() for [batch] in method.feed.batches(3)] == steps[3:]
    [held_out] = method.feed.held_out()
    assert held_out.votes.flatten().tolist() == pytest.approx([1, 0, 2 / 3, 2 / 3, 0, 1]), "of the held-out"
    assert set(method.summary()) > {"held_out/accuracy", "held_out/ece"}


def test_its_folder_scores_by_the_class_alone(model_dir: str, tmp_path: Path) -> None:
    config = P2CConfig()
    method = P2C(config, Data(RECORDS), LoadedModels(model_dir, config))
    method.product.save(tmp_path)
    with torch.no_grad():
        logit, _ = method.said(method.batch(method.rows(RECORDS)))
    asked, texts = [each.prompt for each in RECORDS], [each.output for each in RECORDS]
    found = load_reward(str(tmp_path), ModelConfig())(asked, texts)
    assert found.tolist() == pytest.approx(logit[0].tolist(), abs=1e-5)
    card = json.loads((tmp_path / "reward.json").read_text())
    assert [each["weight"] for each in card["attributes"]] == [1.0] + [0.0] * 2 * p2c.HEADS


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ([1.0, 2 / 3, 1.0], "none of the 3 outputs is bad"),
        ([0.0, 1 / 3, 0.5], "none of the 3 outputs is good"),
        ([1.0, 0.0, 0.5], "equal shares of votes.*several people"),
        ([1.0, 1.5, 0.0], "a label is 1.5"),
        ([], "nothing to learn from"),
    ],
)
def test_votes_that_teach_nothing_are_refused(shares: list[float], why: str, model_dir: str) -> None:
    records = [JudgedOutput(Prompt(f"say {i}"), "yes", share) for i, share in enumerate(shares)]
    with pytest.raises(DataError, match=why):
        P2C(P2CConfig(), Data(records), LoadedModels(model_dir, P2CConfig()))
    P2C(ALONE, Data(RECORDS[:2]), LoadedModels(model_dir, ALONE))


def test_votes_of_three_people_become_a_reward(tmp_path: Path, model_dir: str) -> None:
    """Answers of a have two or three votes of three, and those of b none or one; long ones have fewer."""
    ledger, rows = tmp_path / "farm.db", []
    for i in range(240):
        text = ("a" if i % 2 else "b") * (1 + i % 5)
        count = 2 * (i % 2) + (i % 5 < 2)
        rows += [
            {"instruction": f"q{i}", "output": text, "by": name, "label": float(place < count)}
            for place, name in enumerate(("ann", "bob", "cat"))
        ]
    (table := tmp_path / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    places = {"prompt": "instruction", "output": "output", "annotator": "by", "label": "label"}
    maps = [part for place, column in places.items() for part in ("--map", f"{place}={column}")]
    assert told(ledger, "import", "table", table, *maps, "--kind", "human")["kept"] == 720
    told(ledger, "snapshot", "votes", "--unpaired")
    trained = ("--model", model_dir, "--snapshot", "votes", "--held-out", "0.2")
    options = ("--epochs", "6", "--learning_rate", "3e-3")
    report = told(ledger, "train", "p2c", *trained, *options, "--out", tmp_path / "run")
    assert report["metrics"]["held_out/accuracy"] > 0.95
    scores = load_reward(f"{report['checkpoint']}/model", ModelConfig())(
        [Prompt("new")] * 4, ["a", "aaaa", "b", "bbbb"]
    )
    assert scores.argsort(descending=True).tolist() == [0, 1, 2, 3]
    told(ledger, "snapshot", "one", "--unpaired", "--annotator", "ann")
    one = refused(ledger, "train", "p2c", "--model", model_dir, "--snapshot", "one", "--out", tmp_path / "no")
    assert "let several people vote" in one
