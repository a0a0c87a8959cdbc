"""Binary FeedME: imitate the preferred response of each pair.  Dubois et al. 2023, arXiv 2305.14387, sec. 4.

    L(θ) = −E_((x, y_w, y_l)) Σ_t log π_θ(y_w,t | x, y_w,<t)  /  number of response tokens

paper   code             differs from the paper
y_w     record.output_a  after `decided`: ties have no preferred response and are left out, with a count
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.methods.sft import ImitationTrainer, SFTConfig
from farm.training.data import Demonstration, PreferencePair, check_pairs, decided


class BinaryFeedMEConfig(SFTConfig):
    """As supervised fine-tuning."""


def preferred(records: Sequence[PreferencePair]) -> list[Demonstration]:
    """The preferred output of each pair that is not a tie.

    Raises DataError on a preference outside [0, 1] and on pairs of equal texts.
    """
    check_pairs(records)
    return [Demonstration(record.prompt, record.output_a) for record in decided(records)]


BinaryFeedME: ImitationTrainer[BinaryFeedMEConfig, PreferencePair] = ImitationTrainer(
    BinaryFeedMEConfig, "pairs", lambda records, *_: preferred(records)
)
"""Supervised fine-tuning on preferred outputs."""
