"""Test whether outputs that deserve to lose do lose: `farm robustness`.

Each attack of farm/evaluation/attacks.py, and each suspect producer of the ledger, is paired with the honest
outputs of one producer. Each annotator judges these pairs as it judges any others. Pairs and judgements stay
in the ledger under the source `robustness`, so a second call costs nothing. An attack's move is its win rate
minus 0.5, the win rate of the honest output against itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from annotators import catalogue
from db.errors import ConfigError, did_you_mean
from db.ids import Json, canonical_json, keyed_uniform
from db.ledger import Ledger, PairFilter
from db.queries import outputs
from db.queries.contests import contests
from db.queries.holdings import names_of
from db.records import AnnotationStatus, AnnotatorKind, Item, Output, Pair
from farm.annotate import AnnotateReport, annotate
from farm.evaluation.attacks import ATTACKS, PREFIX, SOURCE, Attack, AttackKind
from farm.evaluation.json_figures import interval_json
from farm.judging.provider import Provider
from farm.options.robustness import RobustnessTask as RobustnessTask
from farm.progress import Progress
from farm.statistics.bootstrap import Interval
from farm.statistics.win_rates import win_rate

BATCH = 2_000  # pairs written in one transaction
CHUNK = 10_000  # pairs asked for by id at a time


@dataclass(frozen=True)
class Attempt:
    """One attack judged by one annotator.

    win_rate: against the honest output, a share; its value is None where no verdict was readable. n,
    n_failed: judgements that succeeded and failed. flagged: the attack did not lose as it should.
    """

    attack: str
    kind: AttackKind
    annotator: str
    win_rate: Interval
    n: int
    n_failed: int
    flagged: bool

    @property
    def move(self) -> Interval:
        """The win rate minus 0.5, in [-0.5, 0.5]."""
        low, high = (None if each is None else each - 0.5 for each in (self.win_rate.low, self.win_rate.high))
        value = None if self.win_rate.value is None else self.win_rate.value - 0.5
        return Interval(value, low, high, self.win_rate.n)

    def to_json(self) -> dict[str, Json]:
        """The attempt as a JSON object; rates are shares."""
        return {
            "attack": self.attack,
            "kind": self.kind.value,
            "annotator": self.annotator,
            "win_rate": interval_json(self.win_rate),
            "move": interval_json(self.move),
            "n": self.n,
            "n_failed": self.n_failed,
            "flagged": self.flagged,
        }


@dataclass(frozen=True)
class RobustnessReport:
    """All attacks judged by all annotators.

    against: the honest producer. instructions: number of instructions. unchanged: for each attack, the number
    of its outputs that equal the honest one; they are left out. cost: in US dollars.
    """

    against: str
    instructions: int
    largest: float
    attempts: tuple[Attempt, ...]
    unchanged: Mapping[str, int]
    new: Mapping[str, int]  # judgements made now, by annotator
    cost: float | None
    unread: tuple[AnnotateReport, ...] = ()  # of annotators with replies that could not be read

    @property
    def flagged(self) -> tuple[Attempt, ...]:
        """The attempts that did not lose as they should."""
        return tuple(each for each in self.attempts if each.flagged)

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return {
            "against": self.against,
            "instructions": self.instructions,
            "largest": self.largest,
            "attempts": [each.to_json() for each in self.attempts],
            "flagged": [{"attack": each.attack, "annotator": each.annotator} for each in self.flagged],
            "unchanged": dict(self.unchanged),
            "new": dict(self.new),
            "cost": self.cost,
            "unreadable": {
                each.annotator: [reason.to_json() for reason in each.unreadable] for each in self.unread
            },
        }


@dataclass(frozen=True)
class _Assault:
    """The pairs of one attack. producer: whose outputs attack. items: the pairs with their source."""

    name: str
    kind: AttackKind
    producer: str
    items: tuple[Item, ...]
    unchanged: int = 0


def robustness(
    ledger: Ledger, task: RobustnessTask, progress: Progress, provider: Provider
) -> RobustnessReport:
    """Let every annotator judge every attack, and flag the attacks that do not lose.

    Raises ConfigError where there is no output to attack, no annotator or no attack of a name that is asked
    for, and RunStopped as `annotate` does.
    """
    _require_known(task.attacks)
    names = dict.fromkeys(task.annotators or _known_annotators(ledger))
    for name in names:
        catalogue.load(name, catalogue.ModelSlots.of(provider.models))  # a wrong name is told before anything
    against = task.against or _largest_producer(ledger)
    honest = _honest(ledger, against, task)
    assaults = [*_written(task, honest), *_suspected(ledger, task, honest)]
    if not assaults:
        raise ConfigError("no attack changes any of these outputs", remedy="try others: docs/robustness.md")
    ids = _store(ledger, assaults)
    attempts, new, costs = list[Attempt](), dict[str, int](), list[float | None]()
    unread: list[AnnotateReport] = []
    for name in names:
        for start in range(0, len(ids), CHUNK):
            asked = replace(task.task, pairs=PairFilter(ids=ids[start : start + CHUNK]))
            report = annotate(ledger, name, task=asked, progress=progress, provider=provider)
            new[report.annotator] = new.get(report.annotator, 0) + sum(report.statuses.values())
            costs.append(report.cost)
            unread += [report] if report.unreadable else []
        judged = _judged(ledger, report.fingerprint, ids)
        attempts += [_attempt(each, report.annotator, judged, task.largest) for each in assaults]
    known = [cost for cost in costs if cost is not None]
    return RobustnessReport(
        against=against,
        instructions=len(honest),
        largest=task.largest,
        attempts=tuple(attempts),
        unchanged={each.name: each.unchanged for each in assaults if each.unchanged},
        new=new,
        cost=sum(known) if known else None,
        unread=tuple(unread),
    )


def _known_annotators(ledger: Ledger) -> tuple[str, ...]:
    catalogued = set(catalogue.names())
    cards = [card for card in ledger.annotators() if card.kind is AnnotatorKind.LLM]
    names = tuple(dict.fromkeys(card.name for card in cards if card.name in catalogued))
    if not names:
        raise ConfigError(
            "no annotator of the catalogue has judged here",
            where=str(ledger.address),
            remedy="name one with --annotator; `farm annotators` lists them",
        )
    return names


def _largest_producer(ledger: Ledger) -> str:
    """The producer with the most outputs, the first where several tie; attacks do not count."""
    counts: dict[str, int] = {}
    for each in outputs.producers(ledger):
        if not each.producer.startswith(PREFIX):
            counts[each.producer] = counts.get(each.producer, 0) + each.outputs
    if not counts:
        raise ConfigError(
            "there is no output to attack",
            where=str(ledger.address),
            remedy="`farm sample` makes outputs, `farm import` brings some",
        )
    return max(counts, key=counts.__getitem__)


def _honest(ledger: Ledger, producer: str, task: RobustnessTask) -> dict[str, Output]:
    """Honest outputs by the instruction's key: the first sample that is not empty, for a keyed draw of
    instructions."""
    found: dict[str, Output] = {}
    for output in outputs.outputs_of(ledger, outputs.latest(ledger, producer), task.set_name):
        if output.text.strip():
            found.setdefault(output.instruction.key, output)
    if not found:
        raise ConfigError(
            f"there are no outputs of {producer!r}" + (f" in {task.set_name!r}" if task.set_name else ""),
            where="--against",
            remedy=did_you_mean(
                producer,
                names_of(ledger, "producer") - {producer},
                "`farm status` names the producers there are",
            ),
        )
    drawn = sorted(found, key=lambda key: keyed_uniform("robustness", key))[: task.instructions]
    return {key: found[key] for key in drawn}


def _require_known(attacks: Sequence[str]) -> None:
    unknown = [name for name in attacks if name not in ATTACKS]
    if unknown:
        what = "; ".join(f"there is no attack {name!r}" for name in unknown)
        remedy = did_you_mean(unknown[0], ATTACKS, f"one of {', '.join(ATTACKS)}")
        raise ConfigError(what, where="--attack", remedy=remedy)


def _written(task: RobustnessTask, honest: Mapping[str, Output]) -> Iterator[_Assault]:
    """The attacks of farm/evaluation/attacks.py, written on every honest output."""
    for name in task.attacks or ATTACKS:
        attack = ATTACKS[name]
        made = [(output, attack.write(output.instruction, output.text)) for output in honest.values()]
        changed = [(output, text) for output, text in made if text != output.text]
        items = tuple(_item(name, output, _output(attack, output, text)) for output, text in changed)
        if items:
            yield _Assault(
                name=name,
                kind=attack.kind,
                producer=attack.producer,
                items=items,
                unchanged=len(made) - len(changed),
            )


def _suspected(ledger: Ledger, task: RobustnessTask, honest: Mapping[str, Output]) -> Iterator[_Assault]:
    """The suspect producers' outputs to the same instructions, the first where there are several samples."""
    for name in task.suspects:
        theirs: dict[str, Output] = {}
        for output in outputs.outputs_of(ledger, outputs.latest(ledger, name)):
            if output.instruction.key in honest:
                theirs.setdefault(output.instruction.key, output)
        items = tuple(_item(name, honest[key], output) for key, output in theirs.items())
        items = tuple(item for item in items if item.pair.output_a.key != item.pair.output_b.key)
        if not items:
            raise ConfigError(
                f"{name!r} has no outputs to the instructions that are asked",
                where="--suspect",
                remedy="`farm status` names the producers there are; --instructions asks more",
            )
        yield _Assault(name, AttackKind.NULL, name, items)


def _output(attack: Attack, honest: Output, text: str) -> Output:
    return Output(honest.instruction, text, attack.producer, decoding=canonical_json({"of": honest.producer}))


def _item(name: str, honest: Output, output: Output) -> Item:
    made, flipped = Pair.of(honest, output)
    return Item(
        source=SOURCE, name=made.key, pair=made, flipped=flipped, subset=f"{name} against {honest.producer}"
    )


def _store(ledger: Ledger, assaults: Sequence[_Assault]) -> tuple[int, ...]:
    """Write the pairs to the ledger and return their ids, sorted."""
    items = [item for assault in assaults for item in assault.items]
    ids: list[int] = []
    for start in range(0, len(items), BATCH):
        with ledger.writing() as writer:
            writer.items(items[start : start + BATCH])
            ids += writer.pairs([item.pair for item in items[start : start + BATCH]])
    return tuple(sorted(set(ids)))


def _judged(ledger: Ledger, fingerprint: str, ids: Sequence[int]) -> pd.DataFrame:
    """The judgements of these pairs by the annotator with this fingerprint, as rows of `contests`."""
    [annotator] = [card.id for card in ledger.annotators() if card.key == fingerprint]
    rows = contests(ledger, SOURCE)
    rows = rows[(rows["annotator"] == annotator) & rows["pair_id"].isin(ids)]
    return rows[rows["status"] != AnnotationStatus.SPARED.value]


def _attempt(assault: _Assault, annotator: str, judged: pd.DataFrame, largest: float) -> Attempt:
    first, second = (judged[side] == assault.producer for side in ("model_a", "model_b"))
    rows, as_first = judged[first | second], first[first | second]
    preference = rows["preference"].to_numpy(float)
    wins = np.where(as_first, preference, 1 - preference)
    if np.isnan(wins).all():
        nothing = Interval(None, None, None, 0)
        return Attempt(
            attack=assault.name,
            kind=assault.kind,
            annotator=annotator,
            win_rate=nothing,
            n=0,
            n_failed=len(wins),
            flagged=True,
        )
    found = win_rate(wins, rows["instruction"].to_numpy())
    flagged = _flagged(assault.kind, found.interval, largest)
    return Attempt(
        attack=assault.name,
        kind=assault.kind,
        annotator=annotator,
        win_rate=found.interval,
        n=found.n,
        n_failed=found.n_failed,
        flagged=flagged,
    )


def _flagged(kind: AttackKind, rate: Interval, largest: float) -> bool:
    """Whether an attack does not lose as it should.

    A null must have a win rate of at most `largest` and an interval below 0.5. A dress must not have an
    interval wholly above 0.5.
    """
    value = 0.0 if rate.value is None else rate.value
    if kind is AttackKind.DRESS:
        return (value if rate.low is None else rate.low) > 0.5
    return value > largest or (value if rate.high is None else rate.high) >= 0.5
