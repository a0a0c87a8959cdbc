"""Acceptable or not by three votes on each output: the class alone, shares of votes, and p2c."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

import torch

from benchmarks.reward_models_kinds import SHARED, scoring
from benchmarks.reward_models_parts import worth
from benchmarks.reward_models_places import Place, said
from db.ids import keyed_uniform
from db.records import Instruction
from farm.models.ops import in_order, preference_loss
from farm.models.tokens import Prompt
from farm.training.data import AttributedOutput, JudgedOutput
from farm.training.score_method import calibration
from farm.world.crowd import Person, crowd

VOTERS = 3
EPOCHS = {200: (2, 8), 1000: (1, 4)}  # those tried for so many answers


class Voted(NamedTuple):
    """An output. votes: the share of people who find it acceptable. truth: gold utility less the bar."""

    prompt: Prompt
    output: str
    votes: float
    truth: float


def as_judged(rows: Sequence[Voted]) -> list[JudgedOutput]:
    """The outputs with their shares of votes."""
    return [JudgedOutput(each.prompt, each.output, each.votes) for each in rows]


def as_rated(rows: Sequence[Voted]) -> list[AttributedOutput]:
    """The same for a model that is asked about one principle, which has no words."""
    return [AttributedOutput(each.prompt, each.output, {"": each.votes}) for each in rows]


def as_classes(rows: Sequence[Voted]) -> list[AttributedOutput]:
    """The majority in place of the share."""
    return as_rated([each._replace(votes=float(each.votes > 0.5)) for each in rows])


class Arm(NamedTuple):
    """A way to learn from votes."""

    method: str
    records: Callable[[Sequence[Voted]], Sequence[Any]]
    options: Mapping[str, object] = {}


ARMS = {
    "class only": Arm("principle_model", as_classes, {"wording": "{principle}"}),
    "soft labels": Arm("principle_model", as_rated, {"wording": "{principle}"}),
    "p2c without diversity": Arm("p2c", as_judged, {"diversity": 0.0}),
    "p2c": Arm("p2c", as_judged),
}


def voted(place: Place, seed: int) -> tuple[list[Voted], list[Voted]]:
    """Outputs to learn from, one to an instruction, and those that are held out, each with three votes.

    A person finds an output acceptable with the probability by which they would prefer it to one of the worth
    that is their median over the outputs to learn from. The truth's bar is the median of the gold utility.
    """
    learnt = {(row.instruction, row.output_a) for row in place.train}
    held_out = {(row.instruction, text) for row in place.held_out for text in (row.output_a, row.output_b)}
    panel = crowd(seed)
    bars = {who: median(who.worth(i.text, i.input, text) for i, text in learnt) for who in panel}
    bar = median(worth(*each) for each in learnt)

    def vote(asked: Instruction, text: str, who: Person) -> bool:
        lead = (who.worth(asked.text, asked.input, text) - bars[who]) / who.noise
        return keyed_uniform("vote", asked.key, text, who.draw_key) < 1 / (1 + math.exp(-lead))

    def of(outputs: set[tuple[Instruction, str]]) -> list[Voted]:
        found = []
        for asked, text in sorted(outputs, key=lambda each: keyed_uniform("voted", each[0].key, each[1])):
            drawn = sorted(panel, key=lambda who: keyed_uniform("voter", asked.key, text, who.name))
            share = fmean(vote(asked, text, who) for who in drawn[:VOTERS])
            found.append(Voted(Prompt.of(asked), text, share, worth(asked, text) - bar))
        return found

    return of(learnt), of(held_out)


def figures(
    arm: Arm, rows: Sequence[Voted], held_out: Sequence[Voted], place: Place, **options: Any
) -> dict[str, float]:
    """Accuracy by the truth, calibration error and log loss on the held-out votes of an arm.

    Outputs that are worth the bar are left out of the accuracy.
    """
    reward = scoring(arm.method, place, arm.records(rows), {**SHARED, **arm.options, **options})
    scores = reward([each.prompt for each in held_out], [each.output for each in held_out])
    votes = torch.tensor([each.votes for each in held_out], dtype=torch.float64)
    truth = torch.tensor([each.truth for each in held_out], dtype=torch.float64)
    told = truth != 0
    return {
        "gold_accuracy": float(in_order(scores[told], (truth[told] > 0).double()).mean()),
        "ece": calibration(scores, votes).ece,
        "log_loss": float(preference_loss(scores.double(), votes).mean()),
    }


def chosen_vote_epochs(place: Place, seed: int) -> dict[str, dict[str, int]]:
    """The epochs of each arm and size with the lowest log loss on held-out votes."""
    rows, held_out = voted(place, seed)
    found: dict[str, dict[str, int]] = {}
    for name, arm in ARMS.items():
        for size, tried in EPOCHS.items():
            losses = {
                each: figures(arm, rows[:size], held_out, place, epochs=each)["log_loss"] for each in tried
            }
            found.setdefault(name, {})[str(size)] = min(losses, key=lambda each: losses[each])
            said(f"chosen: {name} {size} {losses}")
    return found


def votes(
    place: Place, epochs: Mapping[str, Mapping[str, int]], seed: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of each arm by the number of answers."""
    rows, held_out = voted(place, seed)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, arm in ARMS.items():
        for size, count in epochs[name].items():
            made = figures(arm, rows[: int(size)], held_out, place, epochs=count, seed=seed)
            found.setdefault(name, {})[size] = made
            said(f"votes: {name} {size} {made}")
    return found
