"""The models that a method asks for, loaded from the directories or hub ids that the user named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from torch import nn

from db.errors import ConfigError
from farm.config import TrainConfig
from farm.models.footprint import bytes_on_disk
from farm.models.loading import disable_dropout
from farm.models.policy import Policy
from farm.models.reward_cards import kind_of
from farm.models.rewards import load_reward, load_token_reward, value_source
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt
from farm.training.constraints import BoundedJudge
from farm.training.method import (
    ComparedConstraint,
    Constraint,
    Need,
    PairJudge,
    RewardFn,
    SequenceLogps,
    TokenReward,
)
from farm.training.reference import ReferenceLogps
from farm.training.rollout import by_scores
from farm.training.rollout_server import ServedDraws


class ConstraintSource(NamedTuple):
    """A judge that permits responses, not loaded yet: see BoundedJudge. source: as of a reward."""

    source: str | RewardFn
    at_least: float = 0.5
    prompts: frozenset[Prompt] | None = None


class LoadedModels:
    """Loads models when a method asks for them.

    source: the model to start from. It is also the reference unless another is given. reward: where a reward
    is (`farm.models.rewards`), or a function. judge: gives the judge of a rollout by its number; None: the
    reward judges. token_reward: the policy whose log-ratio rates tokens. teacher: the policy to learn from.
    constraints: the judges that permit responses. compared: those of pairs that do so. keep: folder in which
    reference log-probabilities are kept for later runs. served: the server that draws rollouts. Loading
    raises ModelError on a model that cannot be used.
    """

    def __init__(
        self,
        source: str,
        config: TrainConfig,
        *,
        reference: str | None = None,
        reward: str | RewardFn | None = None,
        value: str | None = None,
        judge: Callable[[int], PairJudge] | None = None,
        token_reward: str | None = None,
        teacher: str | None = None,
        constraints: Sequence[ConstraintSource] = (),
        compared: Sequence[ComparedConstraint] = (),
        keep: Path | None = None,
        served: ServedDraws | None = None,
    ) -> None:
        self.source, self.config, self.keep = source, config, keep
        self.reference_source = reference or source
        self.reward_source, self.value_source, self._judge = reward, value, judge
        self._token_reward, self._teacher, self._served = token_reward, teacher, served
        self._constraints, self._compared = constraints, compared

    def policy(self) -> Policy:
        """The policy to train."""
        policy = Policy.load(self.source, self.config, seed=self.config.seed)
        _prepare(policy, self.config)
        return policy

    def reference(self) -> Policy:
        """The frozen policy that training starts from or is held to."""
        return self._reference

    def reference_logps(self) -> SequenceLogps:
        """Log-probabilities under the reference, each computed once and kept."""
        return ReferenceLogps(self.reference_source, self.config, self.reference, self.keep)

    def scorer(self, outputs: int = 1, keeps: str | None = None) -> Scorer:
        """A reward model to train, with a new head of so many outputs on the source's backbone.

        keeps: a kind of reward.json. A source of this kind keeps its head.
        """
        seed, new = self.config.seed, keeps is None or kind_of(self.source) != keeps
        scorer = Scorer.load(self.source, self.config, seed=seed, new_head=new, outputs=outputs)
        _prepare(scorer, self.config)
        return scorer

    def value(self) -> Scorer:
        """A value model to train: from `value`, else the reward model, else the source with a head of 0."""
        reward = self.reward_source
        known = self.value_source or (value_source(reward) if isinstance(reward, str) else None)
        scorer = Scorer.load(known or self.source, self.config, seed=self.config.seed, new_head=known is None)
        if known is None:
            nn.init.zeros_(
                scorer.model.score.weight
            )  # values that begin as noise cost ppo its first rollouts
        _prepare(scorer, self.config)
        return scorer

    def reward(self) -> RewardFn:
        """The function that scores responses. Raises ConfigError where no reward model was named."""
        return self._reward

    def judge(self, rollout: int) -> PairJudge:
        """The judge of a rollout's pairs; without one of its own, that by the scores of the reward model."""
        return self._judge(rollout) if self._judge else by_scores(self._reward)

    def token_reward(self) -> TokenReward:
        """The log-ratio that rates tokens. Raises ConfigError where none was named."""
        source = _named(self._token_reward, "token_reward", "a reward of each token", "--token-reward")
        return load_token_reward(source, self.config, self.reference, self._compiled)

    def teacher(self) -> Policy:
        """The frozen policy to learn from. Raises ConfigError where none was named."""
        source = _named(self._teacher, "teacher", "a teacher", "--teacher")
        return self._loaded(source)

    def constraints(self) -> Sequence[Constraint]:
        """The judges that permit a response or not; none where none was named."""
        return [
            BoundedJudge(self._scores_of(each.source), each.at_least, each.prompts)
            for each in self._constraints
        ]

    def compared_constraints(self) -> Sequence[ComparedConstraint]:
        """The judges of pairs that permit a response or not; none where none was named."""
        return self._compared

    def served(self) -> ServedDraws | None:
        """The server that draws rollouts; None where this process draws them."""
        return self._served

    def loaded_at_once(self, needs: Sequence[Need]) -> int:
        """Bytes of the frozen weights that a method loads when it is made, as files tell them.

        A reference is not among them: what it says of the data may be known already.
        """
        named = {"reward": self.reward_source, "token_reward": self._token_reward, "teacher": self._teacher}
        return self._on_disk(source for need, source in named.items() if need in needs)

    def still_to_load(self, needs: Sequence[Need]) -> int:
        """Bytes of the frozen weights that a method needs and that are not loaded yet, as files tell them.

        The method is made. So these are a reference whose values may be known, and a reward model that
        judges.
        """
        named = {
            "_reference": self.reference_source if "reference" in needs else None,
            "_reward": self.reward_source,
        }
        return self._on_disk(source for name, source in named.items() if name not in vars(self))

    def _on_disk(self, sources: Iterable[object]) -> int:
        return sum(bytes_on_disk(each, self.config.dtype) for each in sources if isinstance(each, str))

    @cached_property
    def _reference(self) -> Policy:
        return self._loaded(self.reference_source)

    @cached_property
    def _reward(self) -> RewardFn:
        if self.reward_source is None:
            raise _unnamed("reward", "a reward model", "--reward")
        return self._scores_of(self.reward_source)

    def _scores_of(self, source: str | RewardFn) -> RewardFn:
        return load_reward(source, self.config, prepare=self._compiled) if isinstance(source, str) else source

    def _loaded(self, source: str) -> Policy:
        found = Policy.load(source, self.config)
        self._compiled(found)
        return found

    def _compiled(self, module: Policy | Scorer) -> None:
        _compile(module, self.config)


def _named(source: str | None, where: str, what: str, flag: str) -> str:
    if source is None:
        raise _unnamed(where, what, flag)
    return source


def _unnamed(where: str, what: str, flag: str) -> ConfigError:
    return ConfigError(f"this method needs {what}", where=where, remedy=f"name one with {flag}")


def _prepare(module: Policy | Scorer, config: TrainConfig) -> None:
    if config.disable_dropout:
        disable_dropout(module.model)
    if config.gradient_checkpointing:
        model = module.model  # the older transformers of the range have another name for it
        enable = (
            getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        )
        enable({"use_reentrant": False})
    _compile(module, config)


def _compile(module: Policy | Scorer, config: TrainConfig) -> None:
    """Compile, if config asks for it: for any width, as no two batches are alike. Draws are compiled too."""
    if not config.compile:
        return
    compilers = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++", "cl"]
    if module.device.type == "cpu" and not any(map(shutil.which, compilers)):
        remedy = "install one (g++), name one with CXX, or leave compile out"
        raise ConfigError("torch.compile needs a C++ compiler on a CPU", where="compile", remedy=remedy)
    module.model.base_model.compile(dynamic=True)
