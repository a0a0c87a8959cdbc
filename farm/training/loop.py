"""The one training loop: take a step's batches, compute the loss, update. A method has no loop of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from db.errors import FarmError, Paused
from db.ids import content_hash
from farm.config import TrainConfig
from farm.models.forward import autocast
from farm.training.batches import tokens_of
from farm.training.clock import Clock, spent, ticking
from farm.training.method import B, Method, Stats
from farm.training.processes import Processes

NO_DECAY_BELOW = 2  # weight decay is for matrices: biases, norms and scalars keep clear of it


class TrainingDiverged(FarmError):
    """The loss or its gradient is not finite. Nothing of that step is saved."""


class Log(Protocol):
    """Takes metrics. step: the optimizer step that they describe. metrics: name -> value."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None: ...


class Checkpoints(Protocol):
    """Keeps a run's progress. `RunFolder` in farm/training/checkpoint.py does so in a folder."""

    @property
    def latest(self) -> str:
        """Where the latest checkpoint is, for an error text."""
        ...

    def restore(self, method: Method[Any], optimizer: Optimizer, schedule: LambdaLR) -> int:
        """Restore the latest state. Returns the steps made until then, 0 without a checkpoint."""
        ...

    def due(self, step: int) -> bool:
        """Whether a checkpoint is to be written after this step."""
        ...

    def save(self, step: int, method: Method[Any], optimizer: Optimizer, schedule: LambdaLR) -> None:
        """Write a checkpoint."""
        ...


def never(step: int) -> bool:
    """Stop after no step."""
    return False


def fit(
    method: Method[B],
    config: TrainConfig,
    log: Log,
    checkpoints: Checkpoints,
    processes: Processes | None = None,
    stops: Callable[[int], bool] = never,
) -> int:
    """Train to the end, from the latest checkpoint if there is one. Returns the steps that were made in all.

    stops: called with the step of each checkpoint when it is written, and of the one that the run goes on
    from. The run ends there if it says so. What it does is in no second of the log.

    The gradient of a step is that of the mean over all its tokens or pairs, whatever the micro-batches and
    processes they are spread over. Raises TrainingDiverged before a gradient that is not finite is applied,
    and before weights are saved whose loss is not finite. Errors of a step's batches name the step. Before a
    Paused is raised, a checkpoint of the steps until then is written. The log has `tokens`, those of the rows
    of a step, `seconds/step` and seconds/PART for each part of it (see `farm.training.clock`), and
    `tokens_per_second`, over all processes.
    """
    with ticking() as clock:
        known = processes or Processes()
        return _fit(method, config, log, checkpoints, processes=known, clock=clock, stops=stops)


def _fit(
    method: Method[B],
    config: TrainConfig,
    log: Log,
    checkpoints: Checkpoints,
    *,
    processes: Processes,
    clock: Clock,
    stops: Callable[[int], bool],
) -> int:
    """As `fit`, by a clock that goes already."""
    feed = method.feed
    processes.distribute(method.trained, config.distribute)
    optimizer = make_optimizer(method.trained, config)
    schedule = LambdaLR(optimizer, learning_rate_factor(config, feed.steps))
    start = checkpoints.restore(method, optimizer, schedule)
    if start and stops(start):
        return start
    meter = Meter(processes)
    stream = iter(feed.batches(start))
    method.trained.train()
    due, kept = False, start
    for step in range(start + 1, feed.steps + 1):
        seed_step(config.seed, step, processes.rank)
        begun = monotonic()
        try:
            with _at_step(step):
                batches = next(stream)
        except Paused:
            if step - 1 > kept:
                checkpoints.save(step - 1, method, optimizer, schedule)
            raise
        with spent("learning"):
            norms = add_up(method, batches, config, meter)
            _refuse_infinite(norms["grad_norm"], step, checkpoints.latest)
            optimizer.step()
        seconds = {f"seconds/{part}": value for part, value in clock.read().items()}
        found = {**norms, "lr": schedule.get_last_lr()[0], **seconds, "seconds/step": monotonic() - begun}
        meter.add({name: torch.tensor(value) for name, value in found.items()}, 1.0)
        meter.add({"tokens": torch.stack(list(map(tokens_of, batches))).sum() * processes.size}, 1.0)
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        due = due or checkpoints.due(step)
        saved = step == feed.steps or (due and step % feed.rollout_steps == 0)
        if saved and not math.isfinite(again := _loss_of(method, batches[-1], config, processes)):
            raise _diverged(f"the loss after step {step} is {again}; nothing was saved", checkpoints.latest)
        if step % config.log_every == 0 or step == feed.steps:
            log(step, figures(meter))
        if step == feed.steps or (config.eval_every and step % config.eval_every == 0):
            log_held_out(step, method, config=config, log=log, processes=processes)
            clock.read()  # what was drawn for it is of no step
        if saved:
            checkpoints.save(step, method, optimizer, schedule)
            due, kept = False, step
            if stops(step):
                if rest := figures(meter):
                    log(step, rest)
                return step
            clock.read()
    return feed.steps


def figures(meter: Meter) -> dict[str, float]:
    """The means of the steps since the last call, with the tokens a second that they make; {} without any."""
    found = meter.flush()
    return found and {**found, "tokens_per_second": found["tokens"] / found["seconds/step"]}


def add_up(method: Method[B], batches: Sequence[B], config: TrainConfig, meter: Meter) -> dict[str, float]:
    """Add up the gradients of a step's batches, over all processes, and clip them. Gives their norms."""
    processes = meter.processes
    total = processes.sum(torch.stack([batch.weight for batch in batches]).sum().double())
    for batch in batches:
        share = batch.weight / total
        with autocast(config):
            loss, stats = method.loss(batch)
        (loss * (share * processes.size)).backward()
        meter.add({"loss": loss.detach(), **stats}, share)
    processes.average_gradients(method.trained, config.distribute)
    return clip_gradients(method.trained, method.parts(), config.max_grad_norm)


def _refuse_infinite(norm: float, step: int, latest: str) -> None:
    if not math.isfinite(norm):
        what = f"the gradient is {norm} at step {step}; the weights are those of step {step - 1}"
        raise _diverged(what, latest, first=step == 1)


def _diverged(what: str, latest: str, first: bool = False) -> TrainingDiverged:
    remedy = "nothing was learnt yet: use another checkpoint or --dtype" if first else "lower learning_rate"
    return TrainingDiverged(what, where=f"latest checkpoint {latest}", remedy=remedy)


@contextmanager
def _at_step(step: int) -> Iterator[None]:
    """In the block an error with a remedy names the step in which it was raised."""
    try:
        yield
    except FarmError as error:
        error.where = ": ".join(filter(None, [f"step {step}", error.where]))
        raise


def _loss_of(method: Method[B], batch: B, config: TrainConfig, processes: Processes) -> float:
    """The loss of a batch by the present weights, summed over the processes. No gradient is kept."""
    with torch.no_grad(), autocast(config):
        return float(processes.sum(method.loss(batch).loss.detach().double()))


def log_held_out(step: int, method: Method[B], config: TrainConfig, log: Log, processes: Processes) -> None:
    """Evaluate and log, if anything was held out."""
    if held_out := evaluate(method, config, processes):
        log(step, {f"eval/{name}": value for name, value in held_out.items()})


def evaluate(
    method: Method[Any], config: TrainConfig, processes: Processes | None = None
) -> dict[str, float]:
    """Loss and statistics on the held-out rows: means by the batches' weights. Empty if there are none."""
    meter = Meter(processes or Processes())
    was_training = method.trained.training
    method.trained.eval()
    with torch.no_grad(), autocast(config):
        for batch in method.feed.held_out():
            loss, stats = method.loss(batch)
            meter.add({"loss": loss, **stats}, batch.weight)
    method.trained.train(was_training)
    return meter.flush()


def make_optimizer(module: nn.Module, config: TrainConfig) -> AdamW:
    """AdamW over all parameters that require a gradient. Weight decay is for matrices only."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= NO_DECAY_BELOW], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < NO_DECAY_BELOW], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate, betas, epsilon = config.learning_rate, config.adam_betas, config.adam_epsilon
    return AdamW(groups, lr=rate, betas=betas, eps=epsilon, fused=True)


def learning_rate_factor(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """Factor on the learning rate at the k-th step, k from 0.

    It rises along a line over `config.warmup` of the steps, then follows the schedule, down to 0 unless
    constant.
    """
    warmup = math.ceil(config.warmup * steps)

    def factor(k: int) -> float:
        if k < warmup:
            return (k + 1) / (warmup + 1)
        done = (k - warmup) / max(1, steps - warmup)
        if config.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return 1.0 if config.schedule == "constant" else max(0.0, 1 - done)

    return factor


def clip_gradients(module: nn.Module, parts: Mapping[str, nn.Module], max_norm: float) -> dict[str, float]:
    """Scale the gradients to a norm of at most max_norm, those of each part by its own.

    parts: models that together are the module, by name; none: the module is one. Returns the norms before:
    grad_norm of the whole, and grad_norm/NAME of each part.
    """
    if not parts:
        return {"grad_norm": _clip(module, max_norm)}
    norms = {f"grad_norm/{name}": _clip(part, max_norm) for name, part in parts.items()}
    return {"grad_norm": math.hypot(*norms.values()), **norms}


def _clip(module: nn.Module, max_norm: float) -> float:
    norm = clip_grad_norm_([p for p in module.parameters() if p.grad is not None], max_norm)
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


def seed_step(seed: int, step: int, rank: int) -> None:
    """Make all of torch's randomness in a step (dropout, above all) a function of (seed, step, process)."""
    drawn = int(content_hash("step", [seed, step, rank])[:15], 16)
    torch.default_generator.manual_seed(drawn)  # torch.manual_seed keeps a trace for each missing device
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(drawn)


class Meter:
    """Weighted means of named scalars.

    The sums stay on their device until `flush`, so that a step need not wait for a GPU.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.sums: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}

    def add(self, stats: Stats, weight: Tensor | float) -> None:
        """Add scalars by name, with their weight in the means."""
        for name, value in stats.items():
            share = torch.as_tensor(weight, dtype=torch.float64, device=value.device)
            self.sums[name] = self.sums.get(name, torch.zeros_like(share)) + value.detach().double() * share
            self.weights[name] = self.weights.get(name, torch.zeros_like(share)) + share

    def flush(self) -> dict[str, float]:
        """The means over all processes since the last flush."""
        if not self.sums:
            return {}
        known = list(self.sums.values())
        device = next((value.device for value in known if value.device.type != "cpu"), torch.device("cpu"))
        sums = torch.stack([value.to(device) for value in known])
        weights = torch.stack([value.to(device) for value in self.weights.values()])
        means = (self.processes.sum(sums) / self.processes.sum(weights)).tolist()
        names, self.sums, self.weights = list(self.sums), {}, {}
        return dict(zip(names, means, strict=True))
