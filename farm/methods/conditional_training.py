"""Conditional training: learn all outputs under a token for good or bad, then ask for good.

Korbak et al. 2023, arXiv 2302.08582, section 2.

    L(θ) = −E_(x,y) Σ_t log π_θ(y_t | x, c, y_<t)  /  number of response tokens,   c = good where R(x, y) > t

paper   code               differs from the paper
c       control_tokens     a token of its own between prompt and response; the saved template asks for good.
                           Neither token is ever drawn
R       record.label       in [0, 1]; the paper's is a classifier's score of each sentence
t       config.threshold   in the paper outputs of exactly t are good too
        config.unmarked    the share of outputs that are learnt without a token, 1 % in the paper
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.config import option
from farm.methods.sft import ImitationTrainer, SFTConfig
from farm.training.controls import control_problems, control_tokens, is_unmarked
from farm.training.data import Demonstration, JudgedOutput, check_judged


class ConditionalTrainingConfig(SFTConfig):
    """The paper's share without a token; the rest as supervised fine-tuning's."""

    threshold: float = option(0.5, at_least=0, below=1)
    """An output is good where its label is above this, t. A tie of a pair has ½."""
    unmarked: float = option(0.01, at_least=0, below=1)
    """Share of outputs that are learnt without a token."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and LoRA, which would leave control tokens untrained."""
        return super().problems() + control_problems(self)


def marked(records: Sequence[JudgedOutput], config: ConditionalTrainingConfig) -> list[Demonstration]:
    """Every output under `good` or `bad`, or under no token. Raises DataError on a label outside [0, 1]."""
    check_judged(records)
    bad, good = control_tokens(2)

    def control(number: int, label: float) -> str:
        if is_unmarked(config.unmarked, number, config.seed):
            return ""
        return good if label > config.threshold else bad

    return [
        Demonstration(each.prompt, each.output, control(number, each.label))
        for number, each in enumerate(records)
    ]


ConditionalTraining: ImitationTrainer[ConditionalTrainingConfig, JudgedOutput] = ImitationTrainer(
    ConditionalTrainingConfig,
    "judged",
    lambda records, config, _: marked(records, config),
    lambda _: control_tokens(2),
)
"""Supervised fine-tuning on outputs under tokens that say how they were judged."""
