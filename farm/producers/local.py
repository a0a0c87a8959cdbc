"""Draw outputs from a model in this process, or the best of n by a reward model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property

from db.ids import Json, canonical_json
from farm.config import Decoding, ModelConfig
from farm.methods.best_of_n import BestOfNConfig, best_of_n
from farm.models.generation import Drawn, sample
from farm.models.identity import fingerprint
from farm.models.policy import Policy
from farm.models.scorer import Scorer, ScorerReward
from farm.models.tokens import Prompt
from farm.producers.answers import Answer, Wanted, Write
from farm.training.method import RewardFn

AT_A_TIME = 512  # responses that are sorted by length and drawn together
FLUSH, SECONDS = 64, 5.0  # responses, or seconds since the last, after which a batch is written


class LocalModel:
    """A model in this process. An output depends on weights, instruction, decoding, seed and draw alone.

    n: draws per instruction. best_of: draw so many and keep the one with the highest reward; None: keep all.
    reward: the reward model for `best_of`, a folder or hub id. config: how the models are loaded; its
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
            scorer = self._scorer
            identity |= {"best_of": best_of, "reward": fingerprint(reward, config, lambda: scorer)}
        self.decoding = canonical_json(identity)

    def draw(self, wanted: Sequence[Wanted], write: Write) -> None:
        """Draw all that is wanted. Responses are written as they end, the best of n when all n are drawn."""
        size = max(1, AT_A_TIME // (self._best_of or self._n))
        for at in range(0, len(wanted), size):
            part = wanted[at : at + size]
            if self._best_of is None:
                self._write_as_they_end(part, write)
            else:
                write([Answer(each.instruction, 0, text) for each, text in self._best(part)])

    def _write_as_they_end(self, wanted: Sequence[Wanted], write: Write) -> None:
        """Draw the missing draws. A batch is written when it is large or old, or an error is raised."""
        codec, batch, written = self._policy.codec, list[Answer](), time.monotonic()
        asked = [(each.instruction, k) for each in wanted for k in each.draws]

        def ended(place: int, one: Drawn) -> None:
            nonlocal written
            batch.append(Answer(*asked[place], codec.text(one.ids)))
            if len(batch) >= FLUSH or time.monotonic() - written > SECONDS:
                full = batch[:]
                batch.clear()  # before it is written, so that no batch is written twice
                write(full)
                written = time.monotonic()

        prompts = [codec.prompt_ids(Prompt.of(each.instruction)) for each in wanted]
        draws = [each.draws for each in wanted]
        try:
            sample(self._policy, prompts, self._settings, seed=self._seed, n=draws, ended=ended)
        finally:
            if batch:
                write(batch)

    def _best(self, wanted: Sequence[Wanted]) -> Iterator[tuple[Wanted, str]]:
        """The best response to each instruction."""
        config = BestOfNConfig(n=self._best_of or 1, **asdict(self._settings))
        prompts = [Prompt.of(each.instruction) for each in wanted]
        texts = best_of_n(self._policy, self._reward, prompts=prompts, config=config, seed=self._seed)
        return zip(wanted, texts, strict=True)

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer.load(str(self._reward_source), self._scorer_config)

    @cached_property
    def _reward(self) -> RewardFn:
        return ScorerReward(self._scorer)
