import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import torch
from torch import tensor

from db.errors import ConfigError
from farm.config import TrainConfig
from farm.methods import load
from farm.methods.sft import SFT, SFTConfig
from farm.models.tokens import Prompt, Tokens
from farm.training.checkpoint import RunFolder
from farm.training.data import Data, DataError, Demonstration, PreferencePair
from farm.training.loop import (
    Meter,
    TrainingDiverged,
    clip_gradients,
    evaluate,
    fit,
    learning_rate_factor,
    make_optimizer,
)
from farm.training.method import Loss, Method
from farm.training.processes import Processes
from farm.training.run_models import LoadedModels
from tests.support.on_policy import NoCheckpoints

DEMOS = [Demonstration(Prompt(f"say {i}"), "hello " * (1 + i % 4)) for i in range(16)]
PAIRS = [
    PreferencePair(Prompt(f"say {i}"), "yes " * (1 + i % 3), "no", 1.0 if i % 3 else 0.3) for i in range(16)
]


def run(
    name: str, model_dir: str, held_out: Sequence[object] = (), **options: Any
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """Weights and log of a short run."""
    method_class = load(name)
    given = {"batch_size": 8, "learning_rate": 3e-3, "log_every": 1, "epochs": 2.0} | options
    config = method_class.Config(**given)
    data = Data(DEMOS if method_class.data_kind == "demonstrations" else PAIRS, held_out)
    method = method_class(config, data, LoadedModels(model_dir, config))
    log = []
    fit(method, config, lambda step, metrics: log.append({"step": step, **metrics}), NoCheckpoints())
    return {name: p.detach() for name, p in method.trained.named_parameters()}, log


@pytest.mark.parametrize("name", ["sft", "dpo", "ipo", "reward_model"])
def test_1_batch_of_8_is_8_batches_of_1(name: str, model_dir: str) -> None:
    options: dict[str, Any] = {
        "max_grad_norm": 0.5,
        "max_steps": 2,
        "learning_rate": 1e-3,
        "adam_epsilon": 1e-3,
    }
    whole, log = run(name, model_dir, **options)
    for limits in ({"micro_batch": 1}, {"micro_batch": 3}, {"token_budget": 200}):
        parts, part_log = run(name, model_dir, **(options | limits))
        for key, weight in whole.items():
            assert torch.allclose(weight, parts[key], atol=1e-6), (limits, key)
        for one, other in zip(log, part_log, strict=True):
            assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
            assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)


@pytest.mark.parametrize("name", ["sft", "dpo", "ipo", "reward_model"])
def test_training_lowers_the_loss(name: str, model_dir: str) -> None:
    _, log = run(name, model_dir, epochs=6.0)
    assert log[-1]["loss"] < log[0]["loss"] * 0.97


def test_a_step_has_no_gradients_of_the_step_before(model_dir: str) -> None:
    """Where the weights stand still, the same rows give the same gradient at every step."""
    _, log = run("sft", model_dir, batch_size=16, epochs=3.0, learning_rate=1e-12)
    norms = [line["grad_norm"] for line in log]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-5)


def test_batch_order_changes_nothing(model_dir: str) -> None:
    config = load("dpo").Config(batch_size=16)
    method = load("dpo")(config, Data(PAIRS), LoadedModels(model_dir, config))
    batch: Any
    (batch,) = next(method.feed.batches(0))
    order = torch.randperm(16)
    shuffled = type(batch)(
        type(batch.pairs)(
            *(type(t)(t.ids[order], t.mask[order]) for t in (batch.pairs.chosen, batch.pairs.rejected)),
            batch.pairs.preference[order],
            batch.pairs.strength[order],
        ),
        type(batch.reference)(batch.reference.chosen[order], batch.reference.rejected[order]),
    )
    with torch.no_grad():
        assert method.loss(shuffled).loss.item() == pytest.approx(method.loss(batch).loss.item(), rel=1e-5)


def test_a_gradient_that_is_not_finite_stops_before_it_is_applied(model_dir: str) -> None:
    config = SFTConfig(batch_size=8, micro_batch=4, log_every=1, learning_rate=1e-3)

    class Diverging(SFT):
        seen = 0

        def loss(self, batch: Tokens) -> Loss:
            self.seen += 1
            loss = super().loss(batch)
            if self.seen == 6:  # the second half of step 3
                self.before = {k: v.clone() for k, v in self.trained.state_dict().items()}
                return Loss(loss.loss * float("nan"), loss.stats)
            return loss

    method = Diverging(config, Data(DEMOS), LoadedModels(model_dir, config))
    with pytest.raises(
        TrainingDiverged, match="the gradient is nan at step 3; the weights are those of step 2"
    ):
        fit(cast(Method[Any], method), config, lambda *_: None, NoCheckpoints())
    assert all(torch.equal(v, method.before[k]) for k, v in method.trained.state_dict().items())


def test_the_last_good_checkpoint_outlives_divergence(tmp_path: Path, model_dir: str) -> None:
    """The weights of step 2 are numbers, and what they say of a row is none: they are not saved."""
    config = SFTConfig(batch_size=8, save_every=1, learning_rate=1e-3)

    class Broken(SFT):
        def loss(self, batch: Tokens) -> Loss:
            if len(list(tmp_path.glob("step-*"))) == 1 and torch.is_grad_enabled():
                with torch.no_grad():
                    self.trained.model.lm_head.weight.mul_(1e37)
            return super().loss(batch)

    method = Broken(config, Data(DEMOS), LoadedModels(model_dir, config))
    with pytest.raises(TrainingDiverged, match=r"step-00000001: the gradient is (nan|inf) at step 2"):
        fit(cast(Method[Any], method), config, lambda *_: None, RunFolder(tmp_path, config))
    whole = LoadedModels(str(tmp_path / "step-00000001" / "model"), config).policy()
    assert all(weight.isfinite().all() for weight in whole.parameters())


@pytest.mark.parametrize("name", ["sft", "dpo"])
def test_weights_that_give_no_number_are_not_saved(name: str, tmp_path: Path, model_dir: str) -> None:
    """The last step makes them, so no gradient shows it."""
    config = load(name).Config(batch_size=8, max_steps=1, learning_rate=1e37)
    data = Data(DEMOS if name == "sft" else PAIRS)
    method = load(name)(config, data, LoadedModels(model_dir, config))
    with pytest.raises(TrainingDiverged, match="the loss after step 1 is nan; nothing was saved"):
        fit(method, config, lambda *_: None, RunFolder(tmp_path, config))
    assert not list(tmp_path.glob("step-*"))


def test_an_error_of_a_steps_batches_names_the_step(model_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load("sft").Config(batch_size=8)
    method = load("sft")(config, Data(DEMOS), LoadedModels(model_dir, config))

    def failing(start: int) -> Iterator[object]:
        yield from islice(batches(start), 1)
        raise DataError("the reward is nan", where="instruction 'x'")

    batches = method.feed.batches
    monkeypatch.setattr(method.feed, "batches", failing)
    with pytest.raises(DataError, match=r"^step 2: instruction 'x': the reward is nan"):
        fit(method, config, lambda *_: None, NoCheckpoints())


def test_learning_rates_by_hand() -> None:
    def rates(schedule: Literal["cosine", "linear", "constant"], warmup: float, steps: int) -> list[float]:
        factor = learning_rate_factor(TrainConfig(schedule=schedule, warmup=warmup), steps)
        return [factor(k) for k in range(steps)]

    assert rates("constant", 0.0, 3) == [1, 1, 1]
    assert rates("linear", 0.0, 4) == [1, 0.75, 0.5, 0.25]
    assert rates("linear", 0.4, 5) == [1 / 3, 2 / 3, 1, pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert rates("cosine", 0.0, 4) == pytest.approx(
        [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]
    )


def test_the_norm_before_clipping_is_what_is_logged() -> None:
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight.grad = tensor([[3.0, 4.0]])
    assert clip_gradients(layer, {}, 1.0) == {"grad_norm": 5.0}
    assert layer.weight.grad.norm().item() == pytest.approx(1.0, rel=1e-4)


def test_each_part_is_clipped_by_its_own_norm() -> None:
    """Norms of 5 and ½, clipped at 1: together, the second would be cut too."""
    large, small = torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    large.weight.grad, small.weight.grad = tensor([[3.0, 4.0]]), tensor([[0.5]])
    both = torch.nn.ModuleDict({"large": large, "small": small})
    norms = clip_gradients(both, {"large": large, "small": small}, 1.0)
    assert norms == pytest.approx(
        {"grad_norm": math.sqrt(25.25), "grad_norm/large": 5.0, "grad_norm/small": 0.5}
    )
    assert large.weight.grad.norm().item() == pytest.approx(1.0, rel=1e-4)
    assert small.weight.grad.item() == 0.5


def test_weight_decay_is_for_matrices_only() -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = make_optimizer(layer, TrainConfig(weight_decay=0.1))
    decays = {tuple(p.shape): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decays == {(2, 3): 0.1, (2,): 0.0}


def test_meters_weigh_what_they_average() -> None:
    meter = Meter(Processes())
    meter.add({"a": tensor(1.0), "b": tensor(5.0)}, 3)
    meter.add({"a": tensor(5.0)}, tensor(1))
    assert meter.flush() == {"a": 2.0, "b": 5.0}
    assert meter.flush() == {}


def test_held_out_rows_are_evaluated_as_one_batch_would_be(model_dir: str) -> None:
    config = load("sft").Config(batch_size=3)
    method = load("sft")(config, Data(DEMOS, DEMOS[:8]), LoadedModels(model_dir, config))
    wide = load("sft")(replace(config, batch_size=8), Data(DEMOS, DEMOS[:8]), LoadedModels(model_dir, config))
    assert evaluate(method, config)["loss"] == pytest.approx(evaluate(wide, config)["loss"], rel=1e-5)
    assert method.trained.training is False


def test_evaluation_happens_when_asked_and_at_the_end(model_dir: str) -> None:
    _, log = run("reward_model", model_dir, held_out=PAIRS[:4], eval_every=3, epochs=2.0)
    assert [line["step"] for line in log if "eval/loss" in line] == [3, 4]
    assert json.dumps(log[-1])
    _, log = run("reward_model", model_dir)
    assert not [line for line in log if "eval/loss" in line]


def test_metrics_are_means_over_the_steps_between_two_lines(model_dir: str) -> None:
    _, every = run("sft", model_dir, max_steps=4)
    _, seldom = run("sft", model_dir, max_steps=4, log_every=2)
    assert [line["step"] for line in seldom] == [2, 4]
    assert seldom[0]["loss"] == pytest.approx((every[0]["loss"] + every[1]["loss"]) / 2)
    assert seldom[1]["grad_norm"] == pytest.approx((every[2]["grad_norm"] + every[3]["grad_norm"]) / 2)


@pytest.mark.parametrize(
    "options", [{"precision": "bf16"}, {"gradient_checkpointing": True}, {"lora_rank": 2}]
)
def test_options_of_memory_and_precision_train_too(options: dict[str, Any], model_dir: str) -> None:
    _, plain = run("sft", model_dir, max_steps=3)
    weights, log = run("sft", model_dir, max_steps=3, **options)
    tolerance = 0.02 if options.get("precision") else 1e-5
    assert log[0]["loss"] == pytest.approx(plain[0]["loss"], rel=tolerance)
    assert log[-1]["loss"] < log[0]["loss"]
    assert all(w.dtype == torch.float32 for w in weights.values())


def test_without_a_compiler_what_to_do_about_compile_is_said(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="needs a C\\+\\+ compiler"):
        run("sft", model_dir, compile=True)
