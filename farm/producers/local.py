"""Draw outputs from a model in this process, or the best of n by a reward model."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property

from db.ids import Json, canonical_json
from farm.config import Decoding, ModelConfig
from farm.methods.best_of_n import best
from farm.models.generation import Drawn, sample
from farm.models.identity import fingerprint
from farm.models.policy import Policy
from farm.models.rewards import load_reward, reward_fingerprint
from farm.models.tokens import Prompt
from farm.producers.answers import Answer, Wanted
from farm.producers.draw_plan import DrawPlan, draw_plan
from farm.producers.outputs import Outputs
from farm.training.method import RewardFn
from farm.training.rollout import finite_rewards

AT_A_TIME = 512  # responses that are sorted by length and drawn together
FLUSH, SECONDS = 64, 5.0  # responses, or seconds since the last, after which a batch is written


class LocalModel:
    """A model in this process. An output depends on weights, instruction, decoding, seed and draw alone.

    n: draws per instruction. best_of: draw so many and keep the one with the highest reward; None: keep all.
    reward: where the reward for `best_of` is (`farm.models.rewards`). config: how the models are loaded; its
    template is the policy's alone.
    """

    cost: float | None = None

    def __init__(
        self,
        model: str,
        decoding: Decoding,
        seed: int,
        n: int,
        best_of: int | None,
        reward: str | None,
        config: ModelConfig,
    ) -> None:
        self._policy = Policy.load(model, config)
        self._settings, self._seed, self._n = decoding, seed, n
        self._best_of, self._reward_source = best_of, reward
        self.failures: Counter[str] = Counter()
        identity: dict[str, Json] = {
            **asdict(decoding),
            "seed": seed,
            "weights": fingerprint(model, config, lambda: self._policy),
        }
        if config.template != "auto":
            identity["template"] = config.template
        self._scorer_config = replace(config, template="auto")
        if reward is not None:
            key = reward_fingerprint(reward, config, self._reward)
            identity |= {"best_of": best_of, "reward": key}
        self.decoding = canonical_json(identity)

    def plan(self, wanted: Sequence[Wanted], known: int) -> DrawPlan:
        """What drawing all that is wanted will take. Raises ConfigError where it does not fit."""
        prompts = [self._policy.codec.prompt_ids(Prompt.of(each.instruction)) for each in wanted]
        draws = [self._best_of or len(each.draws) for each in wanted]
        return draw_plan(self._policy, prompts, draws, self._settings, known=known)

    def draw(self, wanted: Sequence[Wanted], outputs: Outputs) -> int:
        """Draw all that is wanted. Responses are written as they end, the best of n when its n have ended."""
        size = max(1, AT_A_TIME // (self._best_of or self._n))
        for at in range(0, len(wanted), size):
            self._write_as_they_end(wanted[at : at + size], outputs)
        return 0

    def _write_as_they_end(self, wanted: Sequence[Wanted], outputs: Outputs) -> None:
        """Draw the missing draws. A batch is written when it is large or old, or an error is raised."""
        codec, size, written = self._policy.codec, self._best_of or 1, time.monotonic()
        draws = [range(size) if self._best_of else each.draws for each in wanted]
        asked = [(each.instruction, k) for each, numbers in zip(wanted, draws, strict=True) for k in numbers]
        unfinished, batch = defaultdict[int, list[Answer]](list), list[list[Answer]]()

        def ended(place: int, one: Drawn) -> None:
            nonlocal written
            group = unfinished[place // size]
            group.append(Answer(*asked[place], codec.text(one.ids)))
            if len(group) == size:
                batch.append(unfinished.pop(place // size))
            if size * len(batch) >= FLUSH or (batch and time.monotonic() - written > SECONDS):
                full = batch[:]
                batch.clear()  # before it is written, so that no batch is written twice
                outputs.write(self._kept(full))
                written = time.monotonic()

        prompts = [codec.prompt_ids(Prompt.of(each.instruction)) for each in wanted]
        try:
            sample(self._policy, prompts, self._settings, seed=self._seed, n=draws, ended=ended)
        finally:
            if batch:
                outputs.write(self._kept(batch))

    def _kept(self, groups: Sequence[list[Answer]]) -> list[Answer]:
        """Of each group of n draws to one instruction the one with the highest reward; all where n is 1.

        Raises DataError on a reward that is not finite.
        """
        if self._best_of is None:
            return [answer for group in groups for answer in group]
        drawn = [answer for group in groups for answer in sorted(group, key=lambda each: each.draw)]
        prompts = [Prompt.of(answer.instruction) for answer in drawn]
        scores = finite_rewards(self._reward, prompts, [answer.text for answer in drawn])
        chosen = best(scores.view(len(groups), -1)).tolist()
        return [drawn[i * self._best_of + place]._replace(draw=0) for i, place in enumerate(chosen)]

    @cached_property
    def _reward(self) -> RewardFn:
        return load_reward(str(self._reward_source), self._scorer_config)
