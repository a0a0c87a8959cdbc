"""The reference methods, one file each. The dict is the registry; nothing is imported before it is asked."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.training.method import Trainer

METHODS: dict[str, str] = {
    "sft": "SFT",
    "reward_model": "RewardModel",
    "dpo": "DPO",
    "ipo": "IPO",
    "ppo": "PPO",
    "quark": "Quark",
    "rloo": "RLOO",
    "grpo": "GRPO",
    "expert_iteration": "ExpertIteration",
    "feedme": "FeedME",
    "binary_feedme": "BinaryFeedME",
    "reward_conditioning": "RewardConditioning",
    "binary_reward_conditioning": "BinaryRewardConditioning",
}
"""Name of a method = its file here -> its class there. best_of_n trains nothing, so it is not here."""


def load(name: str) -> Trainer:
    """The class of a method. Raises KeyError on an unknown name; `METHODS` lists those known."""
    return getattr(import_module(f"farm.methods.{name}"), METHODS[name])  # type: ignore[no-any-return]
