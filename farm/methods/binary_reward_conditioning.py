"""Binary reward conditioning: learn good and bad responses under a token each, then ask for good ones.

Keskar et al. 2019, arXiv 1909.05858; Dubois et al. 2023, arXiv 2305.14387, sec. 4.

    L(θ) = −E_((x, y_w, y_l)) ½ Σ_((y, c) ∈ {(y_w, good), (y_l, bad)}) Σ_t log π_θ(y_t | x, c, y_<t)

paper   code             differs from the paper
c       control_tokens   a token of its own between prompt and response; the saved template asks for good
E       loop             a mean over response tokens; ties are left out, with a count
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from farm.config import TrainConfig
from farm.methods.sft import SFT, SFTConfig
from farm.training.data import Data, Demonstration, PreferencePair, check_pairs, decided
from farm.training.method import DataKind, Models


class BinaryRewardConditioningConfig(SFTConfig):
    """As supervised fine-tuning."""

    def problems(self) -> list[str]:
        return super().problems() + control_problems(self)


def control_problems(config: TrainConfig) -> list[str]:
    if not config.lora_rank:
        return []
    return ["lora_rank must be 0: the embeddings of control tokens have to be trained"]


def control_tokens(levels: int) -> list[str]:
    """Names of the control tokens, from the worst level to the best."""
    return [f"<|quality_{level}|>" for level in range(levels)]


def labelled(records: Sequence[PreferencePair]) -> list[Demonstration]:
    """Both outputs of each pair that is not a tie, under their tokens."""
    check_pairs(records)
    bad, good = control_tokens(2)
    return [
        Demonstration(record.prompt, output, control)
        for record in decided(records)
        for output, control in ((record.output_a, good), (record.output_b, bad))
    ]


class BinaryRewardConditioning(SFT):
    """Supervised fine-tuning on preferred and rejected outputs under tokens that tell them apart."""

    Config: ClassVar[type[SFTConfig]] = BinaryRewardConditioningConfig
    data_kind: ClassVar[DataKind] = "pairs"

    def __init__(
        self, config: BinaryRewardConditioningConfig, data: Data[PreferencePair], models: Models
    ) -> None:
        super().__init__(config, data.made(labelled), models, control_tokens(2))
