"""What benchmarks/claims_worlds.py does in other processes: draw, compare policies, test reward models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter

import torch

from annotators.rules import load_utility
from db.ledger import Ledger, PairFilter
from db.records import Instruction, Output
from farm.config import Decoding, ModelConfig
from farm.models.ops import at_temperature, full_kl, full_logps, in_order
from farm.models.policy import Policy
from farm.models.rewards import load_margins
from farm.models.tokens import Prompt
from farm.progress import silent
from farm.rounds.run import train_in_rounds
from farm.sample import SampleTask, sample
from farm.studies.work import Done
from farm.train import TrainTask
from farm.training.rollout import draw
from farm.world.gold import gold


@dataclass(frozen=True)
class RoundsStep:
    """A run of rounds, and what to sample from its last policy."""

    name: str
    ledger: str
    method: str
    options: Mapping[str, str]
    train: TrainTask
    samples: tuple[SampleTask, ...]


def run_rounds(step: RoundsStep) -> Done:
    """Go through the rounds, then sample. `judgements` of its metrics are those of all rounds."""
    began = perf_counter()
    with Ledger.open(step.ledger) as ledger:
        rounds = train_in_rounds(ledger, step.method, step.train, None, step.options).rounds
        model = f"{rounds[-1].trained.checkpoint}/model"
        drawn = [sample(ledger, model, task, silent).decoding for task in step.samples]
    judgements = {"judgements": float(sum(each.judgements for each in rounds))}
    return Done(step.name, model, perf_counter() - began, metrics=judgements, decodings=tuple(drawn))


def kept_rules(outputs: Sequence[Output], rules: Sequence[str]) -> float:
    """The share of outputs that keep all rules."""
    found = [load_utility(each).function for each in rules]
    return fmean(
        float(all(rule(each.instruction.text, each.instruction.input, each.text) for rule in found))
        for each in outputs
    )


def responses(model: str, asked: Sequence[Instruction], decoding: Decoding, seed: int) -> list[str]:
    """One response of a model to each instruction."""
    prompts = [Prompt.of(each) for each in asked]
    return list(draw(Policy.load(model), prompts, decoding, seed=seed).texts)


@torch.no_grad()
def distance(
    model: str,
    other: str,
    asked: Sequence[Instruction],
    decoding: Decoding,
    seed: int,
    each_token: bool = False,
) -> float:
    """KL(model ‖ other) in nats, of a response or of a token of it, on responses that `model` draws.

    Each token has the divergence over the whole vocabulary.
    """
    policy, against = Policy.load(model), Policy.load(other)
    tokens = draw(policy, [Prompt.of(each) for each in asked], decoding, seed=seed).tokens

    def measure(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        logps = (full_logps(at_temperature(each, decoding.temperature)) for each in (mine, theirs))
        return full_kl(*logps)

    found = policy.compared(tokens, against, measure)
    return float(found.mean() if each_token else found.sum() / len(asked))


@torch.no_grad()
def accuracy(ledger: str, model: str, ids: Sequence[int]) -> float:
    """Share of pairs that a reward model puts in the gold utility's order, without those of equal utility."""
    with Ledger.open(ledger, read_only=True) as opened:
        pairs = list(opened.pairs(PairFilter(ids=tuple(ids))))
    worth = [
        gold(asked.text, asked.input, each.output_a.text) - gold(asked.text, asked.input, each.output_b.text)
        for each in pairs
        for asked in [each.instruction]
    ]
    told = [(each, lead) for each, lead in zip(pairs, worth, strict=True) if abs(lead) > 1e-9]
    prompts = [Prompt.of(each.instruction) for each, _ in told]
    first, second = ([getattr(each, side).text for each, _ in told] for side in ("output_a", "output_b"))
    margins = load_margins(model, ModelConfig())(prompts, first, second)
    truth = torch.tensor([float(lead > 0) for _, lead in told])
    return float(in_order(margins, truth).mean())
