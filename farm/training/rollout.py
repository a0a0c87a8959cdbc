"""Drawing responses from a policy in the form that methods learn from, and dealing them out in batches.

A rollout is a function of (policy, prompts, decoding, seed), and its prompts of (seed, its number).
Whoever draws again gets the same, which is what makes a resumed run the uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from db.errors import ConfigError
from db.ids import content_hash
from farm.config import Decoding, TrainConfig, option
from farm.models.codec import Row, collate
from farm.models.forward import autocast
from farm.models.generation import sample
from farm.models.ops import kl_k1, masked_sum
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt, Tokens
from farm.training.data import BatchSource, Data, DataError, PromptBatch, instructions
from farm.training.method import Models, RewardFn, Rollout, Stats
from farm.training.processes import Processes, at_rest
from farm.training.rows import T, parts, take, tokens_of, widths

TOKENS_AT_A_TIME = 2**14  # rated without gradients in one pass; bounds memory, changes nothing else


class RolloutConfig(TrainConfig, Decoding):
    """What methods share that learn from responses of the policy in training."""

    batch_size: int = 128
    """Prompts in a rollout, over all processes."""
    n: int = option(1, at_least=1)
    """Responses drawn for each prompt of a rollout."""
    rollout_epochs: int = option(1, at_least=1)
    """Passes over each rollout before the next is drawn."""
    minibatches: int = option(1, at_least=1)
    """Optimizer steps in each of those passes."""
    missing_eos_penalty: float = option(0.0, at_least=0)
    """Taken off the score of a response that did not end within max_new_tokens."""

    @property
    def rollout_steps(self) -> int:
        """Optimizer steps from one rollout to the next."""
        return self.rollout_epochs * self.minibatches

    def problems(self) -> list[str]:
        cold = ["temperature must be above 0: a policy that always answers the same learns nothing"]
        return super().problems() + (cold if self.temperature == 0 else [])


class Responses(NamedTuple):
    """n responses to each prompt; row i * n + k is the k-th response to prompt i."""

    prompts: list[Prompt]  # one for each row
    texts: list[str]  # without special tokens
    tokens: Tokens  # padded at the right
    logps: Tensor  # (B, T) at the temperature of the draw, 0 off the mask
    ended: Tensor  # (B,) bool: stopped with an end-of-sequence token


class Graded(NamedTuple):
    """Responses with one advantage each."""

    rollout: Rollout
    advantages: Tensor  # (B,)
    weights: Tensor  # (B,) what each response counts for in the mean: 1, or its number of tokens
    stats: Stats  # of the whole rollout that they come from

    @property
    def weight(self) -> Tensor:
        return self.weights.sum()


class RolloutPlan(NamedTuple):
    """A rollout to come: its number, its seed, and this process's share of its prompts."""

    number: int
    seed: int
    prompts: list[Prompt]


def draw(
    policy: Policy, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, n: int = 1
) -> Responses:
    """n responses to each prompt, each a function of (policy, prompt, decoding, seed, k)."""
    codec = policy.codec
    prompt_ids = [codec.prompt_ids(prompt) for prompt in prompts]
    drawn = sample(policy, prompt_ids, decoding, seed=seed, n=n)
    rows = [Row(prompt_ids[i // n], one.ids) for i, one in enumerate(drawn)]
    tokens = collate(rows, codec.pad_id, policy.device)
    flat = torch.tensor([logp for one in drawn for logp in one.logps], device=policy.device)
    return Responses(
        prompts=[prompt for prompt in prompts for _ in range(n)],
        texts=[codec.text(one.ids) for one in drawn],
        tokens=tokens,
        logps=torch.zeros(tokens.mask.shape, device=policy.device).masked_scatter(tokens.mask, flat),
        ended=torch.tensor([one.ended for one in drawn], device=policy.device),
    )


@torch.no_grad()
def roll_out(
    policy: Policy,
    reference: Policy,
    value: Scorer | None,
    reward: RewardFn,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    seed: int,
    n: int = 1,
    missing_eos_penalty: float = 0.0,
    rate_again: bool = False,
) -> Rollout:
    """n responses to each prompt, with what the policy, the reference, the value model and the reward say.

    Log-probabilities are those at the temperature of the draw. The policy's come from the draw itself and
    cost no second pass, unless told to rate_again: in half precision the steps of a draw round otherwise than
    a pass over the whole response. Without a value model the values are 0.
    """
    with at_rest(policy):
        drawn = draw(policy, prompts, decoding, seed=seed, n=n)
        tokens, logps = drawn.tokens, drawn.logps
        if rate_again:
            logps = rated(lambda part: policy(part, decoding.temperature), tokens)
    ref_logps = rated(lambda part: reference(part, decoding.temperature), tokens)
    values = torch.zeros_like(ref_logps)
    if value is not None:
        with at_rest(value):
            values = rated(value.values, tokens)
    score = scored(reward, drawn, missing_eos_penalty)
    return Rollout(tokens, logps, ref_logps, values, score, drawn.ended)


def scored(reward: RewardFn, drawn: Responses, missing_eos_penalty: float) -> Tensor:
    """The reward of each response, less the penalty where it was cut: (B,).

    Raises DataError on a reward that is not finite.
    """
    rewards = reward(drawn.prompts, drawn.texts).to(drawn.logps)
    if not rewards.isfinite().all():
        wrong = int(rewards.isfinite().int().argmin())
        what = f"the reward of a response of {len(drawn.texts[wrong])} characters is {rewards[wrong].item()}"
        remedy = "lower max_new_tokens, or use a reward model with a longer context"
        raise DataError(what, where=f"instruction {drawn.prompts[wrong].instruction[:60]!r}", remedy=remedy)
    return rewards - missing_eos_penalty * ~drawn.ended


def rated(rate: Callable[[Tokens], Tensor], tokens: Tokens, budget: int = TOKENS_AT_A_TIME) -> Tensor:
    """What a model says of every token, (B, T), run on rows of like length, `budget` tokens at a time."""
    out = torch.zeros(tokens.mask.shape, device=tokens.ids.device)
    for rows in parts(widths(tokens), None, budget):
        said = rate(take(tokens, rows))
        out[rows, : said.shape[1]] = said.to(out)
    return out


def rollout_stats(rollout: Rollout, processes: Processes) -> dict[str, Tensor]:
    """What to log of a rollout: means over the responses of all processes. KL and entropy are in nats each.

    objective/kl estimates KL(π || π_ref) of whole responses, objective/entropy the entropy of π over them;
    both are sums over the tokens drawn.
    """
    mask = rollout.tokens.mask
    per_row = {
        "objective/scores": rollout.score,
        "objective/kl": masked_sum(kl_k1(rollout.logps, rollout.ref_logps), mask),
        "objective/entropy": -masked_sum(rollout.logps, mask),
        "completions/mean_length": mask.sum(-1),
        "completions/ended": rollout.ended,
    }
    return dict(zip(per_row, mean_over(processes, *per_row.values()), strict=True))


def mean_over(processes: Processes, *values: Tensor) -> list[Tensor]:
    """The mean of each of some (B,) over the rows of all processes."""
    rows = values[0].shape[0]
    sums = torch.stack([value.double().sum() for value in values] + [values[0].new_tensor(rows).double()])
    sums = processes.sum(sums)
    return list(sums[:-1] / sums[-1])


class Rollouts:
    """The rollouts of a run: their prompts, who draws and judges them, how they become optimizer steps."""

    def __init__(
        self,
        config: RolloutConfig,
        data: Data[Prompt],
        models: Models,
        policy: Policy,
        value: Scorer | None = None,
    ) -> None:
        """Raises DataError where some rollout has fewer responses than it has optimizer steps to give to.

        Raises ConfigError on a value model with another tokenizer than the policy's.
        """
        if value is not None and value.codec.tokenizer.get_vocab() != policy.codec.tokenizer.get_vocab():
            what = "the value model reads other tokens than the policy writes"
            raise ConfigError(what, where="reward", remedy="use a reward model with the policy's tokenizer")
        self.config, self.processes, self.held_out_prompts = config, data.processes, list(data.held_out)
        self.policy, self.value = policy, value
        self.reference, self.reward = models.reference(), models.reward()
        self.source: BatchSource[Prompt, PromptBatch] = instructions(data, policy.codec, config)
        smallest = len(self.source.rows) % config.batch_size or config.batch_size
        if smallest // self.processes.size * config.n < config.minibatches:
            what = (
                f"a rollout of {smallest} prompts cannot be shared out over {config.minibatches} minibatches"
            )
            remedy = "use fewer minibatches, or a batch_size that leaves no such rest"
            raise DataError(what, where="minibatches", remedy=remedy)
        steps = math.ceil(config.epochs * self.source.steps_per_epoch) * config.rollout_steps
        self.steps = min(steps, config.max_steps or steps)

    def batches(self, start: int, learn: Callable[[Rollout], T]) -> Iterator[list[T]]:
        """What is learnt from each rollout from step `start` on, one optimizer step at a time."""
        for turn in self.turns(start):
            yield from self.dealt(turn, learn(self.drawn(turn)))

    def held_out(self, learn: Callable[[Rollout], T]) -> Iterator[T]:
        """The same of a rollout on the held-out prompts, which has the same seed every time; none without."""
        if self.held_out_prompts:
            seed = _seed("held out", self.config.seed, 0)
            whole = learn(self.drawn(RolloutPlan(0, seed, self.held_out_prompts)))
            budget = self.config.token_budget or TOKENS_AT_A_TIME
            for rows in parts(widths(tokens_of(whole)), self.config.micro_batch, budget):
                yield take(whole, rows)

    def turns(self, start: int) -> Iterator[RolloutPlan]:
        """The rollouts from optimizer step `start` on, which must be where one begins."""
        first = start // self.config.rollout_steps
        for number, step in enumerate(self.source.batches(first), first):
            prompts = [prompt for batch in step for prompt in batch.prompts]
            yield RolloutPlan(number, _seed("rollout", self.config.seed, number), prompts)

    def drawn(self, turn: RolloutPlan) -> Rollout:
        """The rollout, from the policy as it is now."""
        config = self.config
        with autocast(config):
            return roll_out(
                self.policy,
                self.reference,
                self.value,
                self.reward,
                turn.prompts,
                config,
                seed=turn.seed,
                n=config.n,
                missing_eos_penalty=config.missing_eos_penalty,
                rate_again=config.precision == "bf16" or config.dtype == "bfloat16",
            )

    def responses(self, turn: RolloutPlan, source: Policy) -> Responses:
        """The responses alone, from a policy as it is now."""
        with at_rest(source), autocast(self.config):
            return draw(source, turn.prompts, self.config, seed=turn.seed, n=self.config.n)

    def scores(self, responses: Responses) -> Tensor:
        """The reward of each, less the penalty where it was cut: (B,)."""
        with autocast(self.config):
            return scored(self.reward, responses, self.config.missing_eos_penalty)

    def dealt(self, turn: RolloutPlan, batch: T) -> Iterator[list[T]]:
        """A rollout's batch in minibatches, one for each optimizer step, each in parts that fit into memory.

        Rows are shuffled anew in every pass; minibatches are of like numbers of rows.
        """
        tokens, config = tokens_of(batch), self.config
        length = widths(tokens)
        for epoch in range(config.rollout_epochs):
            generator = torch.Generator().manual_seed(_seed("pass", turn.seed, epoch))
            order = torch.randperm(len(length), generator=generator)
            for rows in order.tensor_split(config.minibatches):
                found = parts(length[rows], config.micro_batch, config.token_budget)
                count = self._agreed(len(found))
                if count != len(found):
                    found = parts(length[rows], None, None, count)
                yield [take(batch, rows[part]) for part in found]

    def _agreed(self, count: int) -> int:
        """The most parts that any process needs: for each, all of them gather sharded weights together."""
        mine = torch.zeros(self.processes.size, dtype=torch.long)
        mine[self.processes.rank] = count
        return int(self.processes.sum(mine).max())


def _seed(purpose: str, seed: int, number: int) -> int:
    return int(content_hash(purpose, [seed, number])[:15], 16)
