"""Draw outputs from a model in this process, or the best of n by a reward model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property

from db.ids import Json, canonical_json
from db.records import Instruction
from farm.config import Decoding, ModelConfig
from farm.methods.best_of_n import BestOfNConfig, best_of_n
from farm.models.identity import fingerprint
from farm.models.policy import Policy
from farm.models.scorer import Scorer, ScorerReward
from farm.models.tokens import Prompt
from farm.producers.answers import Answer, Wanted, Write
from farm.training.method import RewardFn
from farm.training.rollout import draw

AT_A_TIME = 512  # responses drawn together


class LocalModel:
    """A model in this process. An output depends on weights, instruction, decoding, seed and draw alone.

    n: draws per instruction. best_of: draw so many and keep the one with the highest reward; None: keep all.
    reward: the reward model for `best_of`, a folder or hub id.
    """

    cost: float | None = None

    def __init__(
        self, model: str, decoding: Decoding, seed: int, n: int, best_of: int | None, reward: str | None
    ) -> None:
        config = ModelConfig()
        self._policy = Policy.load(model, config)
        self._settings, self._seed, self._n = decoding, seed, n
        self._best_of, self._reward_source = best_of, reward
        self.failures: Counter[str] = Counter()
        identity: dict[str, Json] = {
            **asdict(decoding),
            "seed": seed,
            "weights": fingerprint(model, config, lambda: self._policy),
        }
        if reward is not None:
            scorer = self._scorer
            identity |= {"best_of": best_of, "reward": fingerprint(reward, config, lambda: scorer)}
        self.decoding = canonical_json(identity)

    def draw(self, wanted: Sequence[Wanted], write: Write) -> None:
        """Draw all that is wanted, about 512 responses at a time."""
        size = max(1, AT_A_TIME // (self._best_of or self._n))
        for at in range(0, len(wanted), size):
            part = wanted[at : at + size]
            texts = self._texts([each.instruction for each in part])
            answers = [(each, texts[i]) for i, each in enumerate(part)]
            write([Answer(each.instruction, k, drawn[k]) for each, drawn in answers for k in each.draws])

    def _texts(self, instructions: Sequence[Instruction]) -> list[list[str]]:
        """All n draws (one with `best_of`) for each instruction."""
        prompts = [Prompt(each.text, each.input) for each in instructions]
        if self._best_of is not None:
            config = BestOfNConfig(n=self._best_of, **asdict(self._settings))
            return [
                [text]
                for text in best_of_n(
                    self._policy, self._reward, prompts=prompts, config=config, seed=self._seed
                )
            ]
        texts = draw(self._policy, prompts, self._settings, seed=self._seed, n=self._n).texts
        return [texts[at : at + self._n] for at in range(0, len(texts), self._n)]

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer.load(str(self._reward_source), ModelConfig())

    @cached_property
    def _reward(self) -> RewardFn:
        return ScorerReward(self._scorer)
