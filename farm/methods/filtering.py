"""Filtering: imitate the outputs that were judged well, and leave the others out.

Korbak et al. 2023, arXiv 2302.08582, section 2.

    D    = { (x, y) : R(x, y) > t }
    L(θ) = −E_((x,y) ∈ D) Σ_t log π_θ(y_t | x, y_<t)  /  number of response tokens

paper   code              differs from the paper
R       record.label      in [0, 1]; the paper's is a classifier's score
t       config.threshold  the paper takes outputs of exactly t too
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from farm.config import option
from farm.methods.sft import ImitationTrainer, SFTConfig
from farm.training.data import Demonstration, JudgedOutput, check_judged

logger = logging.getLogger(__name__)


class FilteringConfig(SFTConfig):
    """As supervised fine-tuning."""

    threshold: float = option(0.5, at_least=0, below=1)
    """An output is imitated where its label is above this, t. A tie of a pair has ½."""


def kept(records: Sequence[JudgedOutput], config: FilteringConfig) -> list[Demonstration]:
    """The outputs to imitate; logs how many were left out. Raises DataError on a label outside [0, 1]."""
    check_judged(records)
    found = [Demonstration(each.prompt, each.output) for each in records if each.label > config.threshold]
    logger.info("imitated: %d of %d outputs", len(found), len(records))
    return found


Filtering: ImitationTrainer[FilteringConfig, JudgedOutput] = ImitationTrainer(
    FilteringConfig, "judged", lambda records, config, _: kept(records, config)
)
"""Supervised fine-tuning on outputs that were judged well."""
