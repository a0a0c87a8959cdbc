import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import tensor
from transformers import AutoModelForCausalLM

from farm.methods.sft import SFT, SFTConfig, sft_loss
from farm.models.tokens import Prompt
from farm.training.data import Data, Demonstration
from farm.training.run_models import LoadedModels

RECORDS = [Demonstration(Prompt(f"say {i}"), "hello " * (1 + i % 3)) for i in range(6)]


def made(model_dir: str, records: Sequence[Demonstration] = RECORDS, **options: Any) -> SFT:
    config = SFTConfig(**({"batch_size": 6} | options))
    return SFT(config, Data(records), LoadedModels(model_dir, config))


def test_by_hand() -> None:
    logps = tensor([[math.log(0.5), math.log(0.25), 9.0], [9.0, math.log(0.125), 9.0]])
    mask = tensor([[True, True, False], [False, True, False]])
    assert sft_loss(logps, mask).item() == pytest.approx(2 * math.log(2))  # (1 + 2 + 3) / 3 bits


@pytest.mark.parametrize("fixture", ["model_dir", "pad_is_eos_dir"])
def test_the_loss_is_transformers_own_on_responses_alone(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    directory = request.getfixturevalue(fixture)
    method = made(directory)
    (batch,) = next(method.feed.batches(0))
    labels = batch.ids.masked_fill(~batch.mask, -100)
    expected = AutoModelForCausalLM.from_pretrained(directory)(batch.ids, labels=labels).loss
    assert method.loss(batch).loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_prompts_carry_no_loss_and_the_end_of_sequence_does(pad_is_eos_dir: str) -> None:
    method = made(pad_is_eos_dir)
    (batch,) = next(method.feed.batches(0))
    for ids, mask in zip(batch.ids, batch.mask, strict=True):
        text = method.policy.codec.tokenizer.decode(ids[mask])
        assert text.startswith("hello ")
        assert text.endswith("</s>")
        assert text.count("</s>") == 1, "padding with the end of sequence is not learnt"


def test_every_token_of_a_step_counts_the_same(model_dir: str) -> None:
    """The mean over tokens, not the mean of rows' means."""
    method = made(model_dir)
    (batch,) = next(method.feed.batches(0))
    rows = [method.loss(type(batch)(batch.ids[i : i + 1], batch.mask[i : i + 1])) for i in range(6)]
    weights = batch.mask.sum(1)
    mean = sum(row.loss * w for row, w in zip(rows, weights, strict=True)) / weights.sum()
    assert method.loss(batch).loss.item() == pytest.approx(mean.item(), rel=1e-5)


def test_a_cut_output_does_not_teach_to_stop(model_dir: str) -> None:
    whole, cut = (made(model_dir, [Demonstration(Prompt("x"), "ab", ended=e)]) for e in (True, False))
    (a,), (b,) = next(whole.feed.batches(0)), next(cut.feed.batches(0))
    assert a.ids[0, :-1].tolist() == b.ids[0].tolist()
    assert a.ids[0, -1] == 2


def test_stats(model_dir: str) -> None:
    method = made(model_dir)
    (batch,) = next(method.feed.batches(0))
    loss, stats = method.loss(batch)
    assert stats["logps/response"].item() == pytest.approx(-loss.item())
    assert not any(torch.is_tensor(value) and value.requires_grad for value in stats.values())
