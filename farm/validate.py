"""Compare a study on simulated feedback with the same study on people's feedback: `farm validate`.

It trains every method of a recipe on both kinds of feedback, lets people and simulators judge the outputs,
and compares the two rankings of the methods. The ledger must hold pairs of one policy's outputs that both
people and simulators have judged. Pairs of the evaluation that no person has judged yet are counted; people
judge them with `farm label`, and the next call goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from db.errors import ConfigError
from db.ledger import Ledger, PairFilter
from db.queries.training import instructed
from db.records import AnnotatorKind
from farm.annotate import annotate
from farm.judging.provider import Provider, Task
from farm.options.validate import ValidateTask as ValidateTask
from farm.progress import silent
from farm.sample import sample
from farm.studies.recipe import FOLDER, Recipe
from farm.studies.results import PEOPLE, SIMULATORS, StudyResults
from farm.studies.validation import (
    BASELINE,
    EVALUATION,
    SFT,
    Feedback,
    Say,
    Study,
    against_baseline,
    method_win_rates,
    pair_with_baseline,
    rank_agreement,
    train_all,
)
from farm.studies.work import workers
from farm.world.build import WorldSpec
from farm.world.people import people as ask_people

RESULTS = "study.json"


@dataclass(frozen=True)
class Validation:
    """The result. awaited: number of pairs of the evaluation that no person has judged yet."""

    results: StudyResults
    path: Path
    awaited: int


def validate(ledger: Ledger, task: ValidateTask, provider: Provider, say: Say) -> Validation:
    """Train, evaluate and compare. A second call does not train, sample or ask again.

    Raises ConfigError where one of the two kinds of feedback is missing.
    """
    began = perf_counter()
    people, simulators = _feedback(ledger, task)
    recipe = Recipe.read(task.recipe or FOLDER / "small.yaml")
    study = Study(
        ledger=str(ledger.address),
        folder=task.out,
        sft=task.model,
        pairs=task.pairs,
        unlabelled=task.unlabelled,
        evaluation=task.evaluation,
        recipe=recipe,
        seed=task.seed,
    )
    for producer, seed in ((SFT, task.seed), (BASELINE, task.seed + 1)):
        sample(ledger, task.model, study.sampled(producer, seed), silent)
    with workers(task.processes) as pool:
        producers = train_all(ledger, study, (people, simulators), pool=pool, say=say)
    pair_with_baseline(ledger, study, [SFT, *producers])
    pairs = PairFilter(source=EVALUATION)
    for name in simulators.judges:
        made = annotate(ledger, name, Task(pairs, seed=task.seed), silent, provider=provider)
        say(f"{name} judged {made.pairs:,} pairs: {sum(made.statuses.values()):,} new judgements")
    if task.world is not None:
        ask_people(ledger, WorldSpec(seed=task.world), pairs, task.jury)
    size = len(list(instructed(ledger, task.evaluation)))
    rates = method_win_rates(ledger, (people, simulators), size)
    by_people = {each.method for each in rates if each.judged_by == PEOPLE}
    ranking = rank_agreement(ledger, people, simulators) if len(by_people) > 2 else None
    results = StudyResults(
        baseline=BASELINE,
        seed=task.seed,
        judged=rates,
        ranking=ranking,
        curves=(),
        seconds=perf_counter() - began,
    )
    results.write(task.out / RESULTS)
    return Validation(results, task.out / RESULTS, _awaited(ledger, people))


def _feedback(ledger: Ledger, task: ValidateTask) -> tuple[Feedback, Feedback]:
    """People and simulators: whose labels are learnt from, and who judges."""
    cards = ledger.annotators()
    humans = tuple(card.name for card in cards if card.kind is AnnotatorKind.HUMAN)
    people, simulators = task.people or humans, task.simulators
    known = {card.name for card in cards}
    for wanted, what in ((people, "people"), (simulators, "simulators")):
        missing = [name for name in wanted if name not in known]
        if not wanted or missing:
            raise ConfigError(
                f"{missing[0]!r} has judged nothing here" if missing else f"no {what} have judged pairs here",
                where=f"--{what}",
                remedy="`farm audit` lists who judged; `farm annotate` and `farm label` make judgements",
            )
    return Feedback(PEOPLE, people, people), Feedback(SIMULATORS, simulators, task.evaluators or simulators)


def _awaited(ledger: Ledger, people: Feedback) -> int:
    """Number of pairs of the evaluation that none of these people judged."""
    found = against_baseline(ledger)
    seen = set(found.loc[found["judge"].isin(people.judges), "pair_id"])
    return sum(pair.id not in seen for pair in ledger.pairs(PairFilter(source=EVALUATION)))
