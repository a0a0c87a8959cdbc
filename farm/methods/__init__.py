"""The reference methods, one file each.

`METHODS` is the registry. A method's file is imported when the method is asked for, not before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.training.method import Trainer

METHODS: dict[str, str] = {
    "sft": "SFT",
    "reward_model": "RewardModel",
    "reward_regression": "RewardRegression",
    "principle_model": "PrincipleModel",
    "weak_to_strong": "WeakToStrong",
    "weak_to_strong_product": "WeakToStrongProduct",
    "p2c": "P2C",
    "pair_model": "PairModel",
    "general_preference": "GeneralPreference",
    "polar": "POLAR",
    "genrm": "GenRM",
    "implicit_prm": "ImplicitPRM",
    "dpo": "DPO",
    "ipo": "IPO",
    "robust_dpo": "RobustDPO",
    "f_dpo": "FDPO",
    "tr_dpo": "TRDPO",
    "dpop": "DPOP",
    "ld_dpo": "LDDPO",
    "wpo": "WPO",
    "exo": "EXO",
    "hinge": "Hinge",
    "slic": "SLiC",
    "simpo": "SimPO",
    "orpo": "ORPO",
    "cpo": "CPO",
    "apo_zero": "APOZero",
    "apo_down": "APODown",
    "sppo": "SPPO",
    "nca": "NCA",
    "discopop": "DiscoPOP",
    "aot": "AOT",
    "hypo": "HyPO",
    "kto": "KTO",
    "bco": "BCO",
    "apo_zero_unpaired": "APOZeroUnpaired",
    "pl_dpo": "PLDPO",
    "lipo": "LiPO",
    "exo_list": "EXOList",
    "nca_list": "NCAList",
    "infonca": "InfoNCA",
    "filtering": "Filtering",
    "conditional_training": "ConditionalTraining",
    "unlikelihood": "Unlikelihood",
    "rwr": "RWR",
    "awr": "AWR",
    "f_sft": "FSFT",
    "gkd": "GKD",
    "ppo": "PPO",
    "ppo_ptx": "PPOPtx",
    "rto": "RTO",
    "pf_ppo": "PFPPO",
    "pairwise_ppo": "PairwisePPO",
    "quark": "Quark",
    "rloo": "RLOO",
    "grpo": "GRPO",
    "gdpo": "GDPO",
    "crpg": "CRPG",
    "codpo": "CODPO",
    "crraft": "CRRAFT",
    "dr_grpo": "DrGRPO",
    "dapo": "DAPO",
    "gspo": "GSPO",
    "cispo": "CISPO",
    "reinforce_pp": "ReinforcePP",
    "a_star_po": "AStarPO",
    "online_dpo": "OnlineDPO",
    "xpo": "XPO",
    "nash_md": "NashMD",
    "pairwise_grpo": "PairwiseGRPO",
    "on_policy_distillation": "OnPolicyDistillation",
    "expert_iteration": "ExpertIteration",
    "feedme": "FeedME",
    "binary_feedme": "BinaryFeedME",
    "reward_conditioning": "RewardConditioning",
    "binary_reward_conditioning": "BinaryRewardConditioning",
}
"""Name of a method, which is its file's -> its trainer there. best_of_n trains nothing and is not listed."""

REWARD_MODELS = frozenset(
    {
        "reward_model", "reward_regression", "principle_model", "weak_to_strong", "weak_to_strong_product",
        "p2c", "pair_model", "general_preference", "polar", "genrm", "implicit_prm",
    }
)  # fmt: skip
"""Methods that make a reward or a judge. The others make a policy."""


def load(name: str) -> Trainer:
    """The trainer of a method. Raises KeyError on an unknown name; `METHODS` lists those known."""
    return getattr(import_module(f"farm.methods.{name}"), METHODS[name])  # type: ignore[no-any-return]
