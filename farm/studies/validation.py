"""AlpacaFarm's end-to-end validation: is a study on simulated feedback the study that people would have made?

Every method is trained on each kind of feedback, its outputs meet a baseline's on the evaluation set, and
both kinds of evaluator judge them. Do both worlds rank the methods alike (Dubois et al. 2023, section 4.3)?
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from db.ledger import Ledger
from db.queries.contests import contests
from db.queries.outputs import Source
from farm.config import Decoding, build
from farm.methods import load
from farm.pair import PairTask, pair
from farm.sample import SampleTask
from farm.snapshot import Choice, snapshot
from farm.statistics.ranking import rank_correlation, significantly_better
from farm.statistics.win_rates import win_rate, win_rate_difference, win_rate_estimates
from farm.studies.recipe import BEST_OF_N, Recipe, options_of
from farm.studies.results import MethodWinRate, RankAgreement, Rate, rate_of
from farm.studies.work import Done, Step, Workers, run
from farm.train import TrainTask
from farm.training.checkpoint import MODEL, whole_checkpoints

Say = Callable[[str], None]
BASELINE, SFT, PPO, REWARD_MODEL = "baseline", "sft", "ppo", "reward_model"
EVALUATION = "evaluation"  # the source of the pairs that evaluators judge


@dataclass(frozen=True)
class Feedback:
    """A kind of feedback. trains: whose labels of `pairs` are learnt from; judges: who evaluates."""

    name: str
    trains: tuple[str, ...]
    judges: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """What is trained and judged. ledger: its address; sft: the directory of the model to start from.

    pairs: the source of the judged pairs; unlabelled, evaluation: sets of instructions.
    """

    ledger: str
    folder: Path
    sft: str
    pairs: str
    unlabelled: str
    evaluation: str
    recipe: Recipe
    seed: int = 0

    @property
    def decoding(self) -> Decoding:
        return build(Decoding, options_of(self.recipe.sampling), where=["sampling"])

    def sampled(self, producer: str, seed: int = 0, **more: object) -> SampleTask:
        """One output to each instruction of the evaluation set."""
        return SampleTask(self.evaluation, producer, decoding=self.decoding, seed=seed, **more)  # type: ignore[arg-type]


def begin(ledger: Ledger, study: Study, feedback: Feedback, pool: Workers) -> list[Future[Done]]:
    """Begin what needs no more than the labels: the reward model, and the methods that learn from pairs."""
    snapshot(ledger, feedback.name, Choice(feedback.trains, study.pairs))
    steps = [method_step(study, feedback.name, each) for each in study.recipe.methods if from_pairs(each)]
    return [pool.begin(partial(run, step)) for step in (reward_step(study, feedback.name), *steps)]


def train_all(
    ledger: Ledger,
    study: Study,
    feedback: Sequence[Feedback],
    pool: Workers,
    say: Say,
    studied: Sequence[Feedback] = (),
    begun: Mapping[str, Sequence[Future[Done]]] | None = None,
) -> list[str]:
    """Reward models and every method on every kind of feedback; returns the producers of their outputs.

    studied: further kinds of feedback, of which there are to be a reward model and a PPO policy and no more.
    begun: what was begun before, by the name of its feedback.
    """
    known = begun or {}
    first = [f for each in feedback for f in known.get(each.name) or begin(ledger, study, each, pool)]
    for each in studied:
        snapshot(ledger, each.name, Choice(each.trains, study.pairs))
    further = [pool.begin(partial(studied_policy, study, each.name)) for each in studied]
    scored = [method for method in study.recipe.methods if not from_pairs(method)]

    def with_rewards(done: Done) -> Iterator[Callable[[], Done]]:
        name, _, what = done.name.partition("/")
        if what == REWARD_MODEL:
            yield from (partial(run, method_step(study, name, method)) for method in scored)

    for done in pool.finished([*first, *further], with_rewards):
        say(_said(done))
    return [f"{each.name}/{method}" for method in study.recipe.methods for each in feedback]


def from_pairs(method: str) -> bool:
    """Whether a method learns from the labelled pairs themselves."""
    return method != BEST_OF_N and load(method).data_kind in ("pairs", "judged", "groups")


def studied_policy(study: Study, feedback: str) -> Done:
    """A reward model of one kind of feedback, then a PPO policy that nobody is to judge."""
    run(reward_step(study, feedback))
    return run(replace(method_step(study, feedback, PPO), samples=()))


def reward_model_of(study: Study, feedback: str) -> str:
    """The directory of the trained reward model of a kind of feedback."""
    return str(whole_checkpoints(study.folder / feedback / REWARD_MODEL)[-1] / MODEL)


def reward_step(study: Study, feedback: str) -> Step:
    """A reward model of one kind of feedback."""
    task = TrainTask(study.sft, study.folder / feedback / REWARD_MODEL, snapshot=feedback)
    options = _options(study, study.recipe.reward_model)
    return Step(f"{feedback}/{REWARD_MODEL}", study.ledger, REWARD_MODEL, options, task)


def method_step(study: Study, feedback: str, method: str) -> Step:
    """A method on one kind of feedback, and its outputs to the evaluation set. Best-of-n only samples."""
    name, options = f"{feedback}/{method}", study.recipe.methods[method]
    if method == BEST_OF_N:
        reward = reward_model_of(study, feedback)
        task = study.sampled(name, seed=study.seed, best_of=int(str(options["n"])), reward=reward)
        return Step(name, study.ledger, samples=(task,), model=study.sft)
    folder = study.folder / feedback / method
    if from_pairs(method):
        train = TrainTask(study.sft, folder, snapshot=feedback)
    else:
        reward = reward_model_of(study, feedback)
        train = TrainTask(study.sft, folder, set_name=study.unlabelled, reward=reward, held_out=0.0)
    sampled = study.sampled(name, seed=study.seed)
    return Step(name, study.ledger, method, _options(study, options), train, (sampled,))


def _options(study: Study, given: object) -> dict[str, str]:
    return {**options_of(given), "seed": str(study.seed)}  # type: ignore[arg-type]


def _said(done: Done) -> str:
    shown = [f"{name.split('/')[-1]} {done.metrics[name]:.3f}" for name in SHOWN if name in done.metrics]
    return f"{done.name}: {done.seconds:.0f} s" + (f" ({', '.join(shown)})" if shown else "")


SHOWN = ("held_out/accuracy", "kl", "loss")


def meet(ledger: Ledger, study: Study, producers: Iterable[str]) -> None:
    """Pair every producer's outputs with the baseline's; each stands under its own subset of `evaluation`."""
    for producer in producers:
        pair(ledger, PairTask(EVALUATION, (Source(producer),), study.evaluation, Source(BASELINE)))


def judged(ledger: Ledger, feedback: Sequence[Feedback], n: int) -> tuple[MethodWinRate, ...]:
    """Win rates of every producer against the baseline by every kind of judge that looked at it.

    n: instructions of the evaluation set; one without a judgement counts as failed.
    """
    found = oriented(ledger)
    rows = []
    for judges in feedback:
        theirs = found[found["judge"].isin(judges.judges)]
        means = theirs.pivot_table(index="instruction", columns="producer", values="preference")
        for producer, part in theirs.groupby("producer", sort=False):
            result = win_rate(
                part["preference"].to_numpy(), part["instruction"].to_numpy(), part["pair_id"].to_numpy()
            )
            trained_on, _, method = str(producer).rpartition("/")
            failed = n - part.dropna(subset="preference")["instruction"].nunique()
            row = MethodWinRate(method, trained_on, judges.name, rate_of(result.interval), n - failed, failed)
            if producer != SFT:
                lead = win_rate_difference(means[producer], means[SFT])
                row = replace(row, gain=rate_of(lead.interval))
            rows.append(row)
    sft = [row for row in rows if row.method == SFT]  # the same policy in every world
    worlds = dict.fromkeys(row.trained_on for row in rows if row.trained_on)
    same = [replace(row, trained_on=world) for row in sft for world in worlds]
    return (*same, *(row for row in rows if row.method != SFT))


def oriented(ledger: Ledger, source: str = EVALUATION, baseline: str = BASELINE) -> pd.DataFrame:
    """Judgements of outputs against a baseline's: producer, judge, instruction, pair_id, preference for the
    producer."""
    frame = contests(ledger, source)
    names = {card.id: card.name for card in ledger.annotators()}
    flipped = frame["model_a"] == baseline
    return pd.DataFrame(
        {
            "producer": frame["model_b"].where(flipped, frame["model_a"]),
            "judge": frame["annotator"].map(names),
            "instruction": frame["instruction"],
            "pair_id": frame["pair_id"],
            "preference": (1 - frame["preference"]).where(flipped, frame["preference"]),
        }
    )


def table(found: pd.DataFrame, world: Feedback) -> pd.DataFrame:
    """Mean preferences of one world: instructions in rows, methods trained and judged in it in columns."""
    mine = found[found["judge"].isin(world.judges)]
    mine = mine[mine["producer"].str.startswith(f"{world.name}/") | (mine["producer"] == SFT)]
    method = mine["producer"].str.rpartition("/")[2]
    return mine.assign(method=method).pivot_table(index="instruction", columns="method", values="preference")


def rank_agreement(ledger: Ledger, people: Feedback, simulators: Feedback) -> RankAgreement | None:
    """Spearman's correlation of the two worlds' rankings, instructions resampled; None below 3 methods."""
    found = oriented(ledger)
    theirs, ours = table(found, people), table(found, simulators)
    common = [name for name in theirs.columns if name in ours.columns]
    if len(common) < 3:
        return None
    theirs, ours = theirs[common], ours[common]
    spearman = rank_correlation(ours, theirs)
    kendall = rank_correlation(ours, theirs, "kendall", draws=10)
    interval = spearman.over_instructions
    rate = Rate(spearman.value, -1.0, 1.0) if interval is None else rate_of(interval)
    return RankAgreement(rate, kendall.value, len(common), _resolved(theirs), _resolved(ours))


def _resolved(preferences: pd.DataFrame) -> float:
    """Share of the pairs of methods that can be told apart."""
    better = significantly_better(win_rate_estimates(preferences))
    pairs = len(better) * (len(better) - 1) / 2
    return float(better.sum() / pairs)
