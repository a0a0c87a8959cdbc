"""Load whatever can serve as a reward or compare outputs: the one place where `--reward` becomes a function.

A folder of weights is a reward model. A folder with a reward.json says how it is read (reward_cards.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, get_args

import torch
from torch import Tensor

from db.ids import content_hash
from farm.config import ModelConfig
from farm.models.ensemble import Ensemble, ScoreTexts
from farm.models.hub import ModelError
from farm.models.identity import fingerprint
from farm.models.loading import source_key
from farm.models.log_ratio import LogRatio
from farm.models.pair_margins import Margins, PairMargins, ScoreMargins, VectorMargins
from farm.models.policy import Policy
from farm.models.referenced import ReferencedReward
from farm.models.reward_cards import (
    AttributesCard,
    Comparing,
    EnsembleCard,
    LogRatioCard,
    NoisyCard,
    PairCard,
    PrincipleCard,
    ReferencedCard,
    WeightedCard,
    kind_of,
    reward_card,
    unreadable,
)
from farm.models.reward_wrappers import NoisyReward, WeightedRewards
from farm.models.scorer import PrincipleReward, Scorer, ScorerReward, TextReward
from farm.models.tokens import Tokens

Prepare: TypeAlias = Callable[[Policy | Scorer], None]
"""What is done to each model once it is loaded, such as compiling it."""


def load_reward(
    source: str, config: ModelConfig, rows: int = 64, prepare: Prepare = lambda model: None
) -> ScoreTexts:
    """The function that scores responses: texts in, scores (B,) out. rows: responses in a forward pass.

    source: a reward model's folder or hub id, or a folder with a reward.json. Raises ModelError where it is
    none of these.
    """

    def scorer(source: str, outputs: int = 1) -> Scorer:
        found = Scorer.load(source, config, outputs=outputs)
        prepare(found)
        return found

    card = reward_card(source)
    if card is None:
        return ScorerReward(scorer(source), rows)
    if card.get("kind") == "ensemble":
        read = EnsembleCard.read(card, Path(source))
        members = [ScorerReward(scorer(each.source), rows) for each in read.members]
        return Ensemble(members, [each.standard for each in read.members], read.how, read.factor)
    if card.get("kind") == "attributes":
        weights = [each.weight for each in AttributesCard.read(card, Path(source)).attributes]
        model = scorer(source, len(weights))
        return TextReward(model, partial(_weighed, model, torch.tensor(weights)), rows)
    if card.get("kind") == "principle":
        asked = PrincipleCard.read(card, Path(source))
        return PrincipleReward(scorer(source), asked.weights, asked.wording, rows)
    if card.get("kind") == ReferencedCard.kind:
        references = ReferencedCard.read(card, Path(source)).references
        return ReferencedReward(scorer(source), references, source, rows)
    if card.get("kind") == "log_ratio":
        told = LogRatioCard.read_from(card, Path(source))
        policy, reference = (_policy(each, config, prepare) for each in (source, told.reference))
        ratio = LogRatio(policy, reference, told.beta, told.read)
        return TextReward(ratio, ratio, rows)
    _members(source)
    if card.get("kind") == "weighted":
        several = WeightedCard.read(card, Path(source))
        each = [load_reward(member, config, rows, prepare) for member in several.sources]
        return WeightedRewards(each, several.weights)
    if card.get("kind") == "noisy":
        noisy = NoisyCard.read(card, Path(source))
        return NoisyReward(load_reward(noisy.source, config, rows, prepare), noisy.rule)
    if compares(source):
        what = "the model compares two outputs and has no score for one"
        remedy = "let it judge pairs: `farm annotate reward-model --model`"
        raise ModelError(what, where=source, remedy=remedy)
    raise unreadable(Path(source), f"its kind is {card.get('kind')!r}")


def load_token_reward(
    source: str, config: ModelConfig, reference: Callable[[], Policy], prepare: Prepare = lambda model: None
) -> LogRatio:
    """A policy's log-ratio to its reference as a reward of each token, without a factor.

    source: a policy's folder or hub id; its reference is the one that its reward.json names, else what
    `reference` gives. Raises ModelError where reward.json says something else.
    """
    card = reward_card(source)
    if card is not None and card.get("kind") != "log_ratio":
        what, remedy = f"a reward of kind {card.get('kind')!r} rates no tokens", "name a policy"
        raise ModelError(what, where=source, remedy=remedy)
    named = LogRatioCard.read_from(card, Path(source)).reference if card else None
    against = _policy(named, config, prepare) if named else reference()
    return LogRatio(_policy(source, config, prepare), against, 1.0, "sum")


def _policy(source: str, config: ModelConfig, prepare: Prepare) -> Policy:
    found = Policy.load(source, config)
    prepare(found)
    return found


def compares(source: str) -> bool:
    """Whether a model compares two outputs and has no score for one."""
    return kind_of(source) in get_args(Comparing)


def load_margins(source: str, config: ModelConfig, rows: int = 64) -> Margins:
    """The function that compares two responses: log-odds that the first is preferred, (B,).

    source: as for `load_reward`, or a model that compares two outputs. Of scores it is their difference.
    """
    if not compares(source):
        return ScoreMargins(load_reward(source, config, rows))
    read = PairCard.read(reward_card(source) or {}, Path(source))
    scorer = Scorer.load(source, config, outputs=read.outputs)
    if read.kind == "pair":
        return PairMargins(scorer, rows)
    return VectorMargins(scorer, read.temperature, rows)


def reward_fingerprint(source: str, config: ModelConfig, loaded: ScoreTexts) -> str:
    """Identity of a reward: a hash of its weights, or of its files and those of its members.

    loaded: what `load_reward` made of it.
    """
    if isinstance(loaded, ScorerReward):
        return fingerprint(source, config, lambda: loaded.scorer)
    return content_hash("reward", [config.dtype, reward_source_key(source)])


def reward_source_key(source: str) -> str:
    """Identity of a reward's files, and of the members' that its reward.json names without a hash of them."""
    own, members = source_key(source), _members(source)
    return content_hash("members", [own, *map(reward_source_key, members)]) if members else own


def _members(source: str, within: tuple[Path, ...] = ()) -> Sequence[str]:
    """The rewards that a card written by hand is made of. Cards that a command writes have their hashes.

    within: the folders that the source is a part of. Raises ModelError where a reward is made of itself.
    """
    card, folder = reward_card(source) or {}, Path(source)
    found: Sequence[str] = ()
    if card.get("kind") == "weighted":
        found = WeightedCard.read(card, folder).sources
    if card.get("kind") == "noisy":
        found = [NoisyCard.read(card, folder).source]
    path = (*within, folder.resolve())
    for each in found:
        if Path(each).resolve() in path:
            raise unreadable(folder, "the reward is made of itself")
        _members(each, path)
    return found


def value_source(source: str) -> str | None:
    """The reward model that a value model may start from; None where there is none."""
    card = reward_card(source)
    if card is None:
        return source
    if card.get("kind") == "ensemble":
        return EnsembleCard.read(card, Path(source)).members[0].source
    if card.get("kind") == "noisy":
        return value_source(NoisyCard.read(card, Path(source)).source)
    return None


def _weighed(model: Scorer, weights: Tensor, tokens: Tokens) -> Tensor:
    """The weighted sum of the outputs of each row: (B,)."""
    return model.outputs(tokens) @ weights.to(model.device)
