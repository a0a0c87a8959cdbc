"""A judge is asked about a rollout while the other models rate it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from annotators.clients.failures import RunStopped
from farm.models.ops import masked_sum
from farm.models.tokens import Prompt
from farm.training.processes import Processes
from farm.training.verdicts import beside
from tests.support.on_policy import PROMPTS, made_on

PATIENCE = 60.0  # seconds in which one of two threads meets the other


@pytest.mark.parametrize("name", ["online_dpo", "nash_md", "pairwise_grpo", "pairwise_ppo"])
def test_the_reference_rates_while_the_judge_is_asked(name: str, model_dir: str) -> None:
    """Each waits for the other, so neither could come first."""
    method = made_on(name, model_dir, PROMPTS, batch_size=4)
    asked, rating = threading.Event(), threading.Event()

    def judge(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        asked.set()
        assert rating.wait(PATIENCE), "nothing was rated while the judge was asked"
        return torch.full((len(prompts),), 0.75)

    def rates(*_: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            assert asked.wait(PATIENCE), "the judge was not asked while a model rated"
            rating.set()

    method.feed.judge = lambda rollout: judge
    method.feed.reference.register_forward_pre_hook(rates)
    assert next(method.feed.batches(0))


def test_the_reference_says_of_pairs_what_it_says_alone(model_dir: str) -> None:
    for name in ("online_dpo", "nash_md"):
        method = made_on(name, model_dir, PROMPTS)
        (batch,) = next(method.feed.batches(0))
        for tokens, said in ((batch.first, batch.ref_first), (batch.second, batch.ref_second)):
            with torch.no_grad():
                alone = masked_sum(method.feed.reference(tokens, method.config.temperature), tokens.mask)
            torch.testing.assert_close(said, alone, atol=1e-4, rtol=1e-5)


def test_several_processes_do_one_after_the_other() -> None:
    done = list[str]()
    with beside(lambda: done.append("work"), Processes(size=2)) as working:
        done.append("block")
    assert done == ["work", "block"]
    assert working.result() is None


def test_an_error_of_either_is_raised() -> None:
    def fails() -> None:
        raise ValueError("of the work")

    with beside(fails, Processes()) as working:
        pass
    with pytest.raises(ValueError, match="of the work"):
        working.result()
    ended = threading.Event()
    with pytest.raises(RunStopped, match="of the block"), beside(ended.set, Processes()):
        raise RunStopped("of the block")
    assert ended.is_set()
