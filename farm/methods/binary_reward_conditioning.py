"""Binary reward conditioning: learn good and bad responses under a token each, then ask for good ones.

Keskar et al. 2019, arXiv 1909.05858; Dubois et al. 2023, arXiv 2305.14387, sec. 4.

    L(θ) = −E_((x, y_w, y_l)) ½ Σ_((y, c) ∈ {(y_w, good), (y_l, bad)}) Σ_t log π_θ(y_t | x, c, y_<t)

paper   code             differs from the paper
c       control_tokens   a token of its own between prompt and response; the saved template asks for good
E       loop             a mean over response tokens; ties are left out, with a count
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.methods.sft import ImitationTrainer, SFTConfig
from farm.training.controls import control_problems, control_tokens
from farm.training.data import Demonstration, PreferencePair, check_pairs, decided, judged_outputs


class BinaryRewardConditioningConfig(SFTConfig):
    """As supervised fine-tuning."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and LoRA, which would leave control tokens untrained."""
        return super().problems() + control_problems(self)


def labelled(records: Sequence[PreferencePair]) -> list[Demonstration]:
    """Both outputs of each pair that is not a tie: the preferred one under `good`, the other under `bad`.

    Raises DataError on a preference outside [0, 1] and on pairs of equal texts.
    """
    bad, good = control_tokens(2)
    check_pairs(records)
    return [
        Demonstration(each.prompt, each.output, good if each.label > 0.5 else bad)
        for each in judged_outputs(decided(records))
    ]


BinaryRewardConditioning: ImitationTrainer[BinaryRewardConditioningConfig, PreferencePair] = ImitationTrainer(
    BinaryRewardConditioningConfig,
    "pairs",
    lambda records, *_: labelled(records),
    lambda _: control_tokens(2),
)
"""Supervised fine-tuning on preferred and rejected outputs under tokens that tell them apart."""
