"""Ask a judge of pairs about a rollout, and do meanwhile what needs no verdict.

Every process draws its share. The first one asks the judge about the rollout of all, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

from torch import Tensor

from farm.models.forward import autocast
from farm.models.tokens import Tokens
from farm.training.clock import spent
from farm.training.method import PairJudge
from farm.training.on_policy import Draws, RolloutPlan
from farm.training.processes import Processes
from farm.training.rows import gathered

T = TypeVar("T")


@contextmanager
def beside(work: Callable[[], T], processes: Processes) -> Iterator[Future[T]]:
    """Do the work in a thread of its own while the block runs. It is done when the block ends.

    Several processes do it before the block, because the messages of two threads could cross.
    """
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(copy_context().run, work)
        if processes.size > 1:
            working.result()
        yield working


def judged_by_first(
    draws: Draws[Any], plan: RolloutPlan, first: Tokens, second: Tokens, *, judge: PairJudge
) -> Tensor:
    """P(first preferred) of this process's pairs, by a judge that the first process asks: (B,).

    first, second: equally many rows to each prompt, those of a prompt together. NaN: no judgement.
    """
    shared, each = draws.processes, len(first.ids) // len(plan.prompts)
    sides = [draws.texts(gathered(side, shared, each)) for side in (first, second)]
    prompts = [prompt for prompt in plan.whole for _ in range(each)]

    def ask() -> Tensor:
        with autocast(draws.config):
            return judge(prompts, sides[0], sides[1]).cpu()

    with spent("judging"):
        whole = shared.told_by_first(ask)
    return whole.view(-1, each)[shared.rank :: shared.size].flatten()


def penalised(preference: Tensor, cut: Tensor, penalty: float) -> Tensor:
    """P(first preferred) with the penalty taken off the log-odds of what was cut: (B,). 0 and 1 stay.

    cut: (B,) 1 where the first alone was cut, −1 where the second alone was, else 0.
    """
    if not penalty:
        return preference
    return (preference.double().logit() - penalty * cut).sigmoid().to(preference)
