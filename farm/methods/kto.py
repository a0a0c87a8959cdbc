"""KTO: good and bad outputs against a reference point.  Ethayarajh et al. 2024, arXiv 2402.01306.

    L(θ) = E w_d ( 1 − σ(β (r − z)) )  of a good output,   w_u ( 1 − σ(β (z − r)) )  of a bad one    (eq. 7)
    r    = log π_θ(y|x)/π_ref(y|x),   z = max(0, mean_i log π_θ(y_i|x_i')/π_ref(y_i|x_i'))

paper   code                differs from the paper
λ_D     config.good_weight
λ_U     config.bad_weight
z       reference_point     of a step, without gradient, whatever its micro-batches and processes
y_i|x'  neighbours          an output to the next prompt of the data, so it is never an output to x'.
                            The paper takes it from the same batch
E       by_label            a label p < 1 weighs both losses
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from farm.config import option
from farm.models.codec import Codec, Row, collate
from farm.models.ops import Total
from farm.models.tokens import Tokens
from farm.training.batches import JudgedBatch
from farm.training.data import Data, DataError, JudgedOutput
from farm.training.feed import RecordFeed, TokenizedOutput, judged
from farm.training.judged_method import JudgedConfig, JudgedTrainer, RatedOutputs, RateRows, by_label


class KTOConfig(JudgedConfig):
    """The paper's β and weights; the rest as DPO's."""

    good_weight: float = option(1.0, above=0)
    """Weight of good outputs. Its product with their number is to be 1 to 4/3 of that of bad ones."""
    bad_weight: float = option(1.0, above=0)
    """Weight of bad outputs."""


class Neighboured(NamedTuple):
    """Judged outputs, each with a row of its prompt and an output to another prompt."""

    outputs: JudgedBatch
    others: Tokens

    @property
    def tokens(self) -> Tokens:
        """Rows of prompt and output."""
        return self.outputs.tokens

    @property
    def label(self) -> Tensor:
        """P(good): (B,)."""
        return self.outputs.label

    @property
    def weight(self) -> Tensor:
        """Number of outputs."""
        return self.outputs.weight


def kto_loss(rated: RatedOutputs, config: KTOConfig) -> Tensor:
    """Loss of each output: (B,). Ethayarajh et al. 2024, eq. 7. rated.shift: z, not below 0."""
    gain = config.beta * (rated.responses.log_ratio - rated.shift)
    good, bad = config.good_weight * (-gain).sigmoid(), config.bad_weight * gain.sigmoid()
    return by_label(good, bad, rated.label)


def reference_point(step: Sequence[Neighboured], rate: RateRows, config: KTOConfig, total: Total) -> Tensor:
    """z of a step in nats: the mean log-ratio of outputs to other prompts, not below 0."""
    ratios = torch.cat([rate(batch.others).log_ratio.double() for batch in step])
    sums = total(torch.stack([ratios.sum(), torch.ones_like(ratios).sum()]))
    return (sums[0] / sums[1]).clamp(min=0)


def neighbours(rows: Sequence[Row], known: Sequence[Row], limit: int) -> list[Row]:
    """For each of `rows` its prompt with an output to another prompt, cut to `limit` tokens.

    The k-th output to a prompt gets the k-th output to the next prompt of `known`, in a circle. Raises
    DataError where there is no other prompt.
    """
    outputs: dict[tuple[int, ...], list[list[int]]] = {}
    for row in known:
        outputs.setdefault(tuple(row.prompt), []).append(row.response)
    prompts = list(outputs)
    place = {prompt: number for number, prompt in enumerate(prompts)}
    seen: dict[tuple[int, ...], int] = {}
    found = []
    for row in rows:
        prompt = tuple(row.prompt)
        nth = seen[prompt] = seen.get(prompt, -1) + 1
        following = outputs[prompts[(place.get(prompt, len(seen)) + 1) % len(prompts)]]
        if following is outputs.get(prompt):
            what = "KTO compares with outputs to other prompts, and there is but one prompt"
            raise DataError(what, remedy="give outputs to two prompts or more")
        found.append(Row(row.prompt, following[nth % len(following)][: limit - len(prompt)]))
    return found


def neighboured(
    data: Data[JudgedOutput], codec: Codec, config: KTOConfig, device: torch.device
) -> RecordFeed[tuple[TokenizedOutput, Row], Neighboured]:
    """Batches of judged outputs with rows of their neighbours. Raises DataError as `judged` does."""
    plain = judged(data, codec, config, device)
    limit = min(config.max_length, codec.context or config.max_length)
    train, held_out = (
        list(zip(rows, neighbours([each.row for each in rows], known, limit), strict=True))
        for known in [[each.row for each in plain.rows]]
        for rows in (plain.rows, plain.held_out_rows)
    )

    def make(part: Sequence[tuple[TokenizedOutput, Row]]) -> Neighboured:
        others = collate([other for _, other in part], codec.pad_id, device)
        return Neighboured(plain.make([each for each, _ in part]), others)

    def length(row: tuple[TokenizedOutput, Row]) -> int:
        return max(row[0].row.length, row[1].length)

    return RecordFeed(train, length, make=make, config=config, processes=data.processes, held_out=held_out)


KTO = JudgedTrainer(KTOConfig, kto_loss, reference_point, neighboured)
"""Kahneman-Tversky optimisation (Ethayarajh et al. 2024)."""
