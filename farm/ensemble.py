"""Make one reward of several reward models: `farm ensemble`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from db.errors import ConfigError
from db.ids import Json, keyed_uniform
from db.ledger import Ledger
from db.queries import training
from db.queries.training import Labelled
from db.whole_files import Kind, write_bytes_whole
from farm.models.codec import Codec
from farm.models.ensemble import Standard, combined, standardised
from farm.models.hub import ModelError
from farm.models.loading import source_key
from farm.models.reward_cards import REWARD_FILE, EnsembleCard, EnsembleMember, reward_card
from farm.models.scorer import Scorer, ScorerReward
from farm.models.tokens import Prompt
from farm.options.ensemble import EnsembleTask as EnsembleTask
from farm.progress import Progress, silent
from farm.snapshot import snapshot_named
from farm.training.score_method import calibration

LEAST = 10  # pairs below which a deviation says nothing
OURS = Kind(b"{", b'"kind": "ensemble"')


@dataclass(frozen=True)
class MemberReport:
    """A member, or the ensemble, on the pairs. accuracy, ece: as after `farm train reward_model`.

    mean, deviation: of its scores of the pairs' outputs.
    """

    source: str
    mean: float
    deviation: float
    accuracy: float
    ece: float


@dataclass(frozen=True)
class EnsembleReport:
    """An ensemble. disagreement: mean standard deviation of an output's scores over the members."""

    folder: str
    pairs: int
    members: tuple[MemberReport, ...]
    together: MemberReport
    disagreement: float

    def to_json(self) -> Json:
        """The report as a JSON object."""
        members: list[Json] = [asdict(each) for each in self.members]
        return {**asdict(self), "members": members}


def ensemble(ledger: Ledger, task: EnsembleTask, progress: Progress = silent) -> EnsembleReport:
    """Score the outputs of a snapshot's pairs by each member, and write the folder of the ensemble.

    Raises ConfigError where members do not fit together or the pairs are too few, ModelError where a member
    cannot be loaded.
    """
    pairs = _pairs(ledger, task)
    scores = _scored(task, pairs, progress)
    standards = [Standard.of(each) for each in scores]
    on_one_scale = standardised(scores, standards)
    together = combined(on_one_scale, task.how, task.factor)
    members = [
        EnsembleMember(*each)
        for each in zip(task.members, map(source_key, task.members), standards, strict=True)
    ]
    card = EnsembleCard(members, task.how, task.factor)
    write_bytes_whole(task.folder / REWARD_FILE, card.text(task.folder).encode(), OURS)
    return EnsembleReport(
        folder=str(task.folder),
        pairs=len(pairs),
        members=tuple(
            _measured(source, each, pairs) for source, each in zip(task.members, scores, strict=True)
        ),
        together=_measured(task.how, together, pairs),
        disagreement=float(on_one_scale.std(0).mean()),
    )


def _pairs(ledger: Ledger, task: EnsembleTask) -> list[Labelled]:
    card = snapshot_named(ledger, task.snapshot)
    if card.unpaired:
        raise ConfigError(
            f"the snapshot {card.name!r} has single outputs, and members are measured on pairs",
            remedy="make one of pairs: `farm snapshot NAME` without --unpaired",
        )
    found = [
        row
        for row in training.labelled(ledger, card.id)
        if keyed_uniform("held out", row.instruction.key) < task.held_out
    ]
    if len(found) < LEAST:
        what = f"{len(found)} pairs are too few to put members on one scale"
        raise ConfigError(what, where="--held-out", remedy="raise it, or name another snapshot")
    return found


def _scored(task: EnsembleTask, pairs: Sequence[Labelled], progress: Progress) -> Tensor:
    """Scores of k members: of the first output of each pair, then of the second ones, (k, 2 · pairs)."""
    prompts = [Prompt.of(pair.instruction) for pair in pairs] * 2
    texts = [pair.output_a for pair in pairs] + [pair.output_b for pair in pairs]
    first: Codec | None = None
    scores = []
    for number, source in enumerate(task.members, 1):
        if reward_card(source) is not None:
            what = f"no reward model with one score: it has a {REWARD_FILE}"
            raise ModelError(what, where=source, remedy="name reward models of `farm train reward_model`")
        scorer = Scorer.load(source, task.loading)
        first = first or scorer.codec
        for what, mine, other in (
            ("tokenizer", scorer.codec.tokenizer.get_vocab(), first.tokenizer.get_vocab()),
            ("prompt template", scorer.codec.template, first.template),
        ):
            if mine != other:
                remedy = "name reward models that started from one model"
                raise ConfigError(f"its {what} is not that of {task.members[0]}", where=source, remedy=remedy)
        scores.append(_usable(ScorerReward(scorer)(prompts, texts).double(), source))
        progress("scored", number)
    return torch.stack(scores)


def _usable(scores: Tensor, source: str) -> Tensor:
    if not scores.isfinite().all():
        what = "a score is not finite: an output is longer than the model reads, or its weights overflow"
        raise ModelError(what, where=source, remedy="leave the member out, or name another snapshot")
    if float(scores.std()) == 0:
        raise ModelError("the model gives every output the same score", where=source, remedy="leave it out")
    return scores


def _measured(name: str, scores: Tensor, pairs: Sequence[Labelled]) -> MemberReport:
    """A member on the pairs. scores: of the first outputs, then of the second ones."""
    first, second = scores.chunk(2)
    found = calibration(first - second, torch.tensor([pair.label for pair in pairs]))
    standard = Standard.of(scores)
    return MemberReport(name, *standard, accuracy=found.accuracy, ece=found.ece)
