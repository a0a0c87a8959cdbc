"""The feed of methods that learn from responses of the policy in training.

The prompts of a rollout are a function of (seed, its number). So a resumed run draws the same rollouts as an
uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from db.errors import ConfigError
from db.ids import content_hash
from farm.models.forward import autocast
from farm.models.mixture import Drawer
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Rollout
from farm.training.curriculum import Curriculum
from farm.training.data import Data, DataError
from farm.training.feed import instructions
from farm.training.importance import corrected
from farm.training.method import Models, RewardFn
from farm.training.processes import Processes, at_rest
from farm.training.rollout import TOKENS_AT_A_TIME, Responses, RolloutConfig, draw, rate_rollout, scored
from farm.training.rollout_server import RolloutServer, ServedDraws
from farm.training.rows import gathered, parts, take, widths


class Lessons(Protocol):
    """A batch made of a rollout: a named tuple of tensors about tokens, so that its rows can be split."""

    @property
    def tokens(self) -> Tokens:
        """The rows: Tokens of (B, T)."""
        ...

    @property
    def weight(self) -> Tensor:
        """Number of units that the loss is a mean over: a scalar."""
        ...


L = TypeVar("L", bound=Lessons)


class RolloutPlan(NamedTuple):
    """A rollout to be drawn: its number, its seed, this process's share of its prompts, and all of them."""

    number: int
    seed: int
    prompts: list[Prompt]
    whole: list[Prompt]
    held_out: bool = False


class Draws(Generic[L]):
    """A feed of fresh responses: it plans rollouts, and splits them into optimizer steps."""

    def __init__(
        self,
        config: RolloutConfig,
        data: Data[Prompt],
        policy: Policy,
        learn: Callable[[RolloutPlan], L],
        *,
        curriculum: Callable[[Sequence[Prompt]], Curriculum] | None = None,
    ) -> None:
        """learn: draws a rollout and makes its batch.

        Raises DataError if some minibatch would have fewer responses than there are processes.
        """
        self.config, self.processes, self.held_out_prompts = config, data.processes, list(data.held_out)
        self.policy, self.learn = policy, learn
        self.source = instructions(replace(data, processes=Processes()), policy.codec, config, curriculum)
        smallest = len(self.source.rows) % config.batch_size or config.batch_size
        if min(smallest, smallest * config.kept // config.minibatches) < self.processes.size:
            what = (
                f"a rollout of {smallest} prompts cannot be shared out over {config.minibatches} minibatches"
            )
            remedy = "use fewer minibatches, or a batch_size that leaves no such rest"
            raise DataError(what, where="minibatches", remedy=remedy)
        self.rollout_steps = config.rollout_steps
        steps = math.ceil(config.epochs * self.source.steps_per_epoch) * config.rollout_steps
        self.steps = min(steps, config.max_steps or steps)

    def batches(self, start: int) -> Iterator[list[L]]:
        """The batches of each optimizer step, from step `start` on."""
        for plan in self.plans(start):
            yield from self.dealt(plan, gathered(self.learn(plan), self.processes, self.config.kept))

    def held_out(self) -> Iterator[L]:
        """Batches of a rollout on the held-out prompts. Its seed is always the same."""
        if self.held_out_prompts:
            seed = seed_of("held out", self.config.seed, 0)
            prompts = self.held_out_prompts
            whole = self._alone(RolloutPlan(0, seed, prompts, prompts, held_out=True))
            budget = self.config.token_budget or TOKENS_AT_A_TIME
            for rows in parts(widths(whole.tokens), self.config.micro_batch, budget):
                yield take(whole, rows)

    def _alone(self, plan: RolloutPlan) -> L:
        """A rollout that every process draws as a whole, so that no sum is over several of them."""
        shared, self.processes = self.processes, Processes()
        try:
            return self.learn(plan)
        finally:
            self.processes = shared

    def plans(self, start: int) -> Iterator[RolloutPlan]:
        """The rollouts from optimizer step `start` on. A rollout must begin at this step."""
        first = start // self.config.rollout_steps
        for number, step in enumerate(self.source.batches(first), first):
            prompts = [prompt for batch in step for prompt in batch.prompts]
            mine = prompts[self.processes.rank :: self.processes.size]
            yield RolloutPlan(number, seed_of("rollout", self.config.seed, number), mine, prompts)

    def responses(
        self, plan: RolloutPlan, policy: Drawer, n: int | None = None, server: RolloutServer | None = None
    ) -> Responses:
        """Draw the responses alone, from any present policy. n: to each prompt; None: as config says.

        server: draws in place of this process, with the weights that it has.
        """
        config, n = self.config, n or self.config.n
        with at_rest(policy), autocast(config), self.processes.together():
            return draw(policy, plan.prompts, config, seed=plan.seed, n=n, server=server)

    def texts(self, tokens: Tokens) -> list[str]:
        """The response of each row as text, without special tokens."""
        rows = zip(tokens.ids.tolist(), tokens.mask.tolist(), strict=True)
        of_response = ([i for i, own in zip(ids, mask, strict=True) if own] for ids, mask in rows)
        return [self.policy.codec.text(ids) for ids in of_response]

    def dealt(self, plan: RolloutPlan, batch: L) -> Iterator[list[L]]:
        """This process's share of each minibatch, one per optimizer step, in parts that fit into memory.

        batch: the whole rollout, the same on every process. Its rows are shuffled anew in every pass. So the
        rows of a minibatch do not depend on the number of processes. Minibatches have like numbers of rows.
        """
        config, length = self.config, widths(batch.tokens)
        for epoch in range(config.rollout_epochs):
            generator = torch.Generator().manual_seed(seed_of("pass", plan.seed, epoch))
            order = torch.randperm(len(length), generator=generator)
            for rows in order.tensor_split(config.minibatches):
                found = parts(length[rows], config.micro_batch, config.token_budget, self.processes)
                yield [take(batch, rows[part]) for part in found]


class Rollouts(Draws[L]):
    """The same, with a reference that rates the responses and a reward that scores them."""

    reference: Policy

    def __init__(
        self,
        config: RolloutConfig,
        data: Data[Prompt],
        models: Models,
        policy: Policy,
        learn: Callable[[RolloutPlan], L],
        *,
        value: Scorer | None = None,
        referenced: bool = True,
        curriculum: Callable[[Sequence[Prompt]], Curriculum] | None = None,
    ) -> None:
        """learn: makes the batch of a rollout, which it draws by `drawn` or `responses`.

        referenced: False loads no reference, for a method that has no use of its log-probabilities. Raises
        DataError as `Draws` does, and ConfigError on a value model with another tokenizer than the policy's.
        """
        if value is not None and value.codec.tokenizer.get_vocab() != policy.codec.tokenizer.get_vocab():
            what = "the value model reads other tokens than the policy writes"
            raise ConfigError(what, where="reward", remedy="use a reward model with the policy's tokenizer")
        self.value, self.referenced = value, referenced
        if referenced:
            self.reference = models.reference()
        self.reward = self.reward_of(models)
        self.served: ServedDraws | None = models.served()
        super().__init__(config, data, policy, learn, curriculum=curriculum)

    def reward_of(self, models: Models) -> RewardFn:
        """What scores the responses. Raises ConfigError where no reward was named."""
        return models.reward()

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """Draw the rollout from the present policy. Raises DataError on a score that is not finite."""
        return self.rated(plan, self.fresh(plan))

    def fresh(self, plan: RolloutPlan) -> Responses:
        """The responses of a rollout, drawn from the present policy, or by the run's server."""
        if served := self._server_of(plan):
            served.renew(plan.number, self.policy, self.config, self.processes)
        return self.responses(plan, self.policy, server=served.server if served else None)

    def rated(self, plan: RolloutPlan, responses: Responses) -> Rollout:
        """What the models say of the responses. Raises DataError on a score that is not finite."""
        config, served = self.config, self._server_of(plan)
        with autocast(config):
            rollout = rate_rollout(
                responses,
                self.policy,
                reference=self.reference if self.referenced else None,
                value=self.value,
                reward=self.reward,
                temperature=config.temperature,
                missing_eos_penalty=config.missing_eos_penalty,
                rate_again=config.precision == "bf16" or config.dtype == "bfloat16",
                processes=self.processes,
                served=served is not None,
            )
        if served:
            served.refuse_strangers(rollout, self.processes)
        return rollout

    def _server_of(self, plan: RolloutPlan) -> ServedDraws | None:
        """The server that draws, where the run has one. Held-out rollouts are of the present weights."""
        return None if plan.held_out else self.served

    def corrected(self, lesson: L) -> L:
        """A lesson whose advantages make up for the distance of the server's weights from the policy's."""
        return corrected(lesson, self.served.cap, self.processes) if self.served else lesson

    def scores(self, responses: Responses) -> Tensor:
        """The reward of each response, minus the penalty where it was cut: (B,).

        Raises DataError on a reward that is not finite.
        """
        with autocast(self.config), self.processes.together():
            return scored(self.reward, responses, self.config.missing_eos_penalty)


def seed_of(purpose: str, seed: int, number: int) -> int:
    """A seed for torch, made of the run's seed and the number of what is drawn."""
    return int(content_hash(purpose, [seed, number])[:15], 16)
