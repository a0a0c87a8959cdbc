"""A run and the options of its method on a terminal."""

from __future__ import annotations

from dataclasses import MISSING
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from farm.config import Option
    from farm.rounds.run import RoundsPlan, RoundsReport
    from farm.runs.evaluations import Evaluated
    from farm.train import TrainReport
    from farm.training.foreseen import JudgingPlan, RunPlan
from farm.terminal.common import counted, lasting, plain, table


def train_view(report: TrainReport) -> RenderableType:
    """Where the checkpoint is, and the last metrics."""
    rows = table("metric", "#")
    for name, value in sorted(report.metrics.items()):
        rows.add_row(name, f"{value:.4g}")
    took = f"{counted(report.steps, 'step')} on {counted(report.rows, 'row')}"
    head = f"{report.method}: {took} ({report.held_out:,} held out)"
    parts: list[RenderableType] = [plain(head), rows, plain(f"checkpoint: {report.checkpoint}")]
    return Group(*parts, *(evaluated_view(report.evaluated) if report.evaluated else ()))


def evaluated_view(evaluated: Evaluated) -> list[RenderableType]:
    """The win rate of each checkpoint that was evaluated, the best one, and why the run stopped."""
    rows = table("step", "win rate %#", "95 %", "n#", "failed#")
    for each in evaluated.rates:
        bounds = "" if each.low is None or each.high is None else f"{each.low:.1%} to {each.high:.1%}"
        rows.add_row(
            str(each.step), f"{100 * each.win_rate:.1f}", bounds, f"{each.n:,}", f"{each.n_failed:,}"
        )
    lines = [f"evaluated by {evaluated.annotator} on {evaluated.set_name}"]
    if best := evaluated.best:
        lines.append(f"best checkpoint: {best.path}")
    if (fall := evaluated.fall) and fall.value is not None and fall.low is not None:
        lines.append(
            f"stopped: the last checkpoint is {100 * fall.value:.1f} points below the best win rate so far,"
            f" at least {100 * fall.low:.1f} by an interval that holds for all evaluations"
        )
    return [rows, *map(plain, lines)]


def rounds_view(report: RoundsReport) -> RenderableType:
    """A line for each round, then where the last checkpoint is."""
    rows = table("round", "instructions#", "judgements#", "US$ at most#", "steps#", "loss#")
    for number, each in enumerate(report.rounds, 1):
        loss = each.trained.metrics.get("loss")
        rows.add_row(
            str(number),
            f"{each.instructions:,}",
            f"{each.judgements:,}",
            f"{each.cost:.4f}",
            f"{each.trained.steps:,}",
            "" if loss is None else f"{loss:.4g}",
        )
    last = report.rounds[-1]
    head = f"{last.trained.method}: {counted(len(report.rounds), 'round')}, the last one under {last.name!r}"
    return Group(plain(head), rows, plain(f"checkpoint: {last.trained.checkpoint}"))


def rounds_plan_view(plan: RoundsPlan) -> RenderableType:
    """What each round takes, and all of them."""
    each = f"{counted(plan.instructions, 'instruction')}, {counted(plan.outputs, 'output')}"
    asked = f"{plan.judgements:,} judgements at most"
    whole = f"in {counted(plan.rounds, 'round')}: {plan.rounds * plan.judgements:,} judgements at most"
    return Group(plain(f"a round: {each}, {asked}"), plain(whole))


def plan_view(plan: RunPlan) -> RenderableType:
    """What a run would take: a line for each part of the memory, then disk, tokens and time."""
    memory, head = plan.memory, f"{plan.method}: {counted(plan.steps, 'step')} on {counted(plan.rows, 'row')}"
    parts = {
        "the program, its data and the loaded weights": memory.held,
        "  of which weights that are trained": memory.weights,
        "frozen weights still to be loaded": memory.frozen,
        "the two moments of AdamW": memory.moments,
        "drawing: keys, values and logits": memory.drawing,
        "rating: a layer's states, and logits": memory.rating,
        "learning: activations, logits and gradients": memory.learning,
        "  of which activations of the widest pass": memory.activations,
        "  of which logits, a part at a time": memory.logits,
        "  of which gradients, in the end": memory.gradients,
        "at most at once": memory.peak,
    }
    rows = table("memory", "GB#")
    for name, size in parts.items():
        if size:
            rows.add_row(name, f"{size / 1e9:.2f}")
    disk = f"disk: {plan.disk / 1e9:.2f} GB, {plan.checkpoint / 1e9:.2f} a checkpoint"
    disk += f"; {plan.pushed / 1e9:.2f} GB more for the server that draws" if plan.pushed else ""
    lines = [f"free: {plan.free / 1e9:.2f} GB", disk, f"tokens to learn from: {plan.tokens:,}"]
    evaluations = plan.evaluations
    if (time := plan.time) and plan.seconds is not None:
        parts_of_it = f"start {lasting(time.start)}, steps {lasting(time.steps)}"
        parts_of_it += f", held-out rows {lasting(time.evaluation)}" if time.evaluation else ""
        parts_of_it += f", evaluations {lasting(evaluations.seconds)}" if evaluations else ""
        speed = f"{plan.tokens / time.steps:,.0f} tokens a second"
        lines.append(f"time: {lasting(plan.seconds)} ({parts_of_it}), {speed}")
    if plan.judging:
        lines.append(f"fresh responses: about {_asked_line(plan.judging)}")
    if evaluations:
        many = counted(evaluations.times, "evaluation"), counted(evaluations.instructions, "instruction")
        lines.append(f"{many[0]} on {many[1]}: {counted(evaluations.outputs, 'output')}")
        lines.append(f"evaluations: about {_asked_line(evaluations.judging)}")
    return Group(plain(head), rows, *map(plain, lines))


def _asked_line(plan: JudgingPlan) -> str:
    cost = "an unknown price" if plan.cost is None else f"US$ {plan.cost:.4f}"
    return f"{counted(plan.judgements, 'judgement')}, {counted(plan.requests, 'request')}, {cost}"


def options_view(method: str, options: list[Option]) -> RenderableType:
    """A method's options, each with its type, default and meaning."""
    lines = Text(f"\nOptions of {method}:\n")
    for option in options:
        default = "required" if option.default is MISSING else f"default {option.default}"
        lines.append(f"  --{option.name.replace('_', '-')} <{option.type}>  [{default}]\n")
        lines.append(f"        {option.doc}\n")
    return lines
