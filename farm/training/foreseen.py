"""What a run will take: memory and disk from its sizes.

The memory is what the process holds once the models are loaded, AdamW's moments, and the most that one phase
of a step holds beside them: drawing, rating, or learning. `farm.models.footprint` has the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from db.errors import ConfigError
from db.ids import Json
from farm.config import TrainConfig
from farm.models.footprint import ModelFootprint, draw_bytes, footprint, free_now, held_now
from farm.models.forward import PassShape
from farm.models.policy import Policy
from farm.training.method import Method
from farm.training.rollout import TOKENS_AT_A_TIME, DrawingConfig
from farm.training.timed_steps import TimePlan
from farm.training.widest_step import StepSizes, record_feed, trained_models, widest_step

GB = 1e9
TOLD = 3  # changes that an error names
COPIES = 2  # of the weights for a server: it still has the old ones while new ones are written


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a run holds.

    held: by the process with its models loaded, of which `weights` are those of trained models. frozen:
    weights that are loaded later. moments: AdamW's two of each trained weight. drawing, rating, learning:
    what each of these holds beside all that; one at a time. learning is the sum of activations, logits and
    gradients: in the backward pass activations give way to gradients, but leave them few whole pieces.
    """

    held: int
    weights: int
    frozen: int
    moments: int
    gradients: int
    activations: int
    logits: int
    drawing: int
    rating: int
    learning: int

    @property
    def peak(self) -> int:
        """The most that is in memory at once."""
        return self.held + self.frozen + self.moments + max(self.drawing, self.rating, self.learning)


@dataclass(frozen=True)
class JudgingPlan:
    """Judgements that will be asked for, the requests that this takes, and US dollars.

    cost: None where a price is unknown.
    """

    judgements: int
    requests: int
    cost: float | None

    def times(self, often: float) -> JudgingPlan:
        """The plan of so many times as much."""
        cost = None if self.cost is None else self.cost * often
        return JudgingPlan(round(self.judgements * often), round(self.requests * often), cost)


@dataclass(frozen=True)
class EvaluationsPlan:
    """What the evaluations of a run by a judge will take, if answers have the most tokens that they may have.

    times: how many evaluations. outputs: answers that are drawn for all of them, the reference's among them.
    seconds: of drawing.
    """

    times: int
    instructions: int
    outputs: int
    judging: JudgingPlan
    seconds: float


@dataclass(frozen=True)
class RunPlan:
    """What a run will take.

    tokens: that its steps learn from. free: bytes that the run may hold. checkpoint, disk: bytes of one
    checkpoint, and of all that are on the disk at once. pushed: bytes of the weights that stand on the disk
    for a server that draws; 0 without one. time: None where no step was timed. judging: of fresh responses,
    as long as those of the timed steps. evaluations: by a judge, while it trains.
    """

    method: str
    steps: int
    rows: int
    tokens: int
    memory: MemoryPlan
    free: int
    checkpoint: int
    disk: int
    pushed: int
    time: TimePlan | None = None
    judging: JudgingPlan | None = None
    evaluations: EvaluationsPlan | None = None

    @property
    def seconds(self) -> float | None:
        """Of the whole run, without what judges and checkpoints take; None where no step was timed."""
        evaluated = self.evaluations.seconds if self.evaluations else 0.0
        return None if self.time is None else self.time.total + evaluated

    def to_json(self) -> Json:
        """The plan as a JSON object: bytes and seconds."""
        memory: dict[str, Json] = {**asdict(self.memory), "peak": self.memory.peak, "free": self.free}
        found: dict[str, Json] = {**asdict(self), "memory": memory}
        if self.time is not None:
            found["time"] = {**asdict(self.time), "total": self.seconds}
        del found["free"]
        return found


@dataclass(frozen=True)
class Foresight:
    """A run whose models are loaded, before its first step. later: bytes of frozen weights not loaded yet."""

    name: str
    method: Method[Any]
    config: TrainConfig
    later: int

    def plan(self, memory: float | None = None) -> RunPlan:
        """What the run will take. memory: GB that it may hold; None: what it holds and what is free."""
        models = trained_models(self.method)
        sizes, step = [footprint(each, self.config) for each in models], widest_step(self.method, self.config)
        held = held_now(models[0].device)
        free = held + free_now(models[0].device) if memory is None else int(memory * GB)
        checkpoint = sizes[0].weights + 3 * sum(each.trained for each in sizes)
        steps, every = self.method.feed.steps, self.config.save_every
        kept = min(math.ceil(steps / every), self.config.keep + 1) if every else 1
        return RunPlan(
            method=self.name,
            steps=steps,
            rows=len(record_feed(self.method.feed).rows),
            tokens=int(step.tokens),
            memory=self._memory(self.config, step, sizes, held),
            free=free,
            checkpoint=checkpoint,
            disk=checkpoint * kept,
            pushed=COPIES * sizes[0].weights if self.served else 0,
        )

    @property
    def served(self) -> bool:
        """Whether a server draws, and nothing is drawn in this process."""
        return getattr(self.method.feed, "served", None) is not None

    def refuse(self, plan: RunPlan) -> None:
        """Raise ConfigError where the run does not fit; it names changes of options with which it would."""
        if plan.memory.peak <= plan.free:
            return
        peaks = {change: peak for change, peak in self.changed(plan).items() if peak <= plan.free}
        told = ", or ".join(f"{change} ({peak / GB:.1f} GB)" for change, peak in list(peaks.items())[:TOLD])
        raise _too_large(plan.memory.peak, plan.free, f"try {told}; --memory GB allows more" if told else "")

    def changed(self, plan: RunPlan) -> Mapping[str, int]:
        """The peak in bytes with other options, the mildest change first."""
        sizes = [footprint(each, self.config) for each in trained_models(self.method)]
        found = {}
        for change in _changes(self.config):
            smaller = (
                [each.under_lora(change["lora_rank"]) for each in sizes] if "lora_rank" in change else sizes
            )
            other = replace(self.config, **change)
            step = widest_step(self.method, other)
            flags = " ".join(f"--{name} {str(value).lower()}" for name, value in change.items())
            found[flags] = self._memory(other, step, smaller, plan.memory.held).peak
        return found

    def _memory(
        self, config: TrainConfig, step: StepSizes, sizes: Sequence[ModelFootprint], held: int
    ) -> MemoryPlan:
        trained = sum(each.trained for each in sizes)
        widest = max(step.passes, key=lambda shape: shape.tokens)
        activations = sum(each.kept(widest, config.gradient_checkpointing) for each in sizes)
        logits = sum(each.logits(widest.targets) for each in sizes)
        drawing, rating = self._rollout(config, step, sizes)
        return MemoryPlan(
            held=held,
            weights=sum(each.weights for each in sizes),
            frozen=self.later,
            moments=2 * trained,
            gradients=trained,
            activations=int(activations),
            logits=int(logits),
            drawing=int(drawing),
            rating=int(rating),
            learning=int(activations + logits + trained),
        )

    def _rollout(
        self, config: TrainConfig, step: StepSizes, sizes: Sequence[ModelFootprint]
    ) -> tuple[float, float]:
        """What drawing holds, and rating what was drawn; 0 where nothing is drawn."""
        policy = trained_models(self.method)[0]
        if not (step.rows and isinstance(policy, Policy) and isinstance(config, DrawingConfig)):
            return 0, 0
        drawing = 0 if self.served else draw_bytes(policy, step.prompts, step.rows, config.max_new_tokens)
        width = max(step.prompts) + config.max_new_tokens
        tokens = min(TOKENS_AT_A_TIME, step.rows * width)
        shape = PassShape(tokens, tokens * width, tokens, masked=False)
        return drawing, max(each.working(shape) + each.logits(tokens) for each in sizes)


def _changes(config: TrainConfig) -> list[dict[str, Any]]:
    """Changes of options that take less memory, the mildest first."""
    whole = config.micro_batch or config.batch_size
    again = {} if config.gradient_checkpointing else {"gradient_checkpointing": True}
    found: list[dict[str, Any]] = [{"micro_batch": whole >> k} for k in range(1, whole.bit_length())]
    if again:
        found += [again, {"micro_batch": 1, **again}]
    if not config.lora_rank:
        found += [{"lora_rank": 8}, {"lora_rank": 8, "micro_batch": 1, **again}]
    return found


def refuse_weights(least: int, device: torch.device, memory: float | None = None) -> None:
    """Raise ConfigError where not even weights fit.

    least: bytes of the frozen ones, and of those that are trained with what training makes of them.
    """
    free = free_now(device) if memory is None else int(memory * GB)
    if least > free:
        raise _too_large(least, free, "")


def _too_large(needed: int, free: int, remedy: str) -> ConfigError:
    what = f"the run would take {needed / GB:.1f} GB of memory, and it may take {free / GB:.1f} GB"
    return ConfigError(what, remedy=remedy or "take a smaller model, LoRA (--lora_rank 8), or more memory")
