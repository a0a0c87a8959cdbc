"""AlpacaFarm's end-to-end validation: does a study on simulated feedback find what one on people would find?

Every method is trained on each kind of feedback. Its outputs are paired with a baseline's on the evaluation
set, and both kinds of judges judge the pairs. The question is whether both worlds rank the methods alike
(Dubois et al. 2023, section 4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

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
from farm.studies.results import DIFFERENCE, MethodWinRate, RankAgreement, Rate, rate_of
from farm.studies.work import Done, Step, Workers, run
from farm.train import TrainTask
from farm.training.checkpoint import MODEL, whole_checkpoints

Say = Callable[[str], None]
BASELINE, SFT, PPO, REWARD_MODEL = "baseline", "sft", "ppo", "reward_model"
EVALUATION = "evaluation"  # the source of the pairs with the baseline


@dataclass(frozen=True)
class Feedback:
    """A kind of feedback."""

    name: str
    trains: tuple[str, ...]  # annotators whose labels methods learn from
    judges: tuple[str, ...]  # annotators who judge the outputs of methods


@dataclass(frozen=True)
class Study:
    """What a study trains and judges."""

    ledger: str  # address
    folder: Path  # for the training runs
    sft: str  # directory of the supervised model, from which all methods start
    pairs: str  # source of the pairs whose labels are learnt from
    unlabelled: str  # set of instructions for methods that learn from their own outputs
    evaluation: str  # set of instructions that the methods are compared on
    recipe: Recipe
    seed: int = 0

    @property
    def decoding(self) -> Decoding:
        """The recipe's settings for sampling."""
        return build(Decoding, options_of(self.recipe.sampling), where=["sampling"])

    def sampled(self, producer: str, seed: int = 0, **more: object) -> SampleTask:
        """A task: one output to each instruction of the evaluation set. more: fields of SampleTask."""
        return SampleTask(self.evaluation, producer, decoding=self.decoding, seed=seed, **more)  # type: ignore[arg-type]


def begin(ledger: Ledger, study: Study, feedback: Feedback, pool: Workers) -> list[Future[Done]]:
    """Begin to train what needs only the labels: the reward model, and the methods that learn from pairs."""
    snapshot(ledger, feedback.name, Choice(feedback.trains, study.pairs))
    steps = [method_step(study, feedback.name, each) for each in study.recipe.methods if from_pairs(each)]
    return [pool.begin(partial(run, step)) for step in (reward_step(study, feedback.name), *steps)]


def train_all(
    ledger: Ledger,
    study: Study,
    feedback: Sequence[Feedback],
    pool: Workers,
    say: Say,
    studied: Mapping[Feedback, bool] = MappingProxyType({}),
    begun: Mapping[str, Sequence[Future[Done]]] | None = None,
) -> list[str]:
    """Train a reward model and every method on every kind of feedback.

    Returns the names of the producers of the outputs.
    studied: further kinds of feedback, on which a reward model is trained and, where True, a PPO policy, from
    which nothing is sampled.
    begun: by the name of its feedback, what `begin` has begun before.
    """
    known = begun or {}
    first = [f for each in feedback for f in known.get(each.name) or begin(ledger, study, each, pool)]
    for each in studied:
        snapshot(ledger, each.name, Choice(each.trains, study.pairs))
    further = [pool.begin(partial(run, reward_step(study, each.name))) for each in studied]
    curved = {each.name for each, ppo in studied.items() if ppo}
    scored = [method for method in study.recipe.methods if not from_pairs(method)]

    def with_rewards(done: Done) -> Iterator[Callable[[], Done]]:
        name, _, what = done.name.partition("/")
        if what == REWARD_MODEL and name in {each.name for each in feedback}:
            yield from (partial(run, method_step(study, name, method)) for method in scored)
        elif what == REWARD_MODEL and name in curved:
            yield partial(run, replace(method_step(study, name, PPO), samples=()))

    for done in pool.finished([*first, *further], with_rewards):
        say(_said(done))
    return [f"{each.name}/{method}" for method in study.recipe.methods for each in feedback]


def from_pairs(method: str) -> bool:
    """Whether a method learns from a snapshot of labelled judgements, without a reward model."""
    return method != BEST_OF_N and load(method).data_kind in ("pairs", "judged", "groups")


def reward_model_of(study: Study, feedback: str) -> str:
    """The directory of the reward model that was trained on a kind of feedback."""
    return str(whole_checkpoints(study.folder / feedback / REWARD_MODEL)[-1] / MODEL)


def reward_step(study: Study, feedback: str) -> Step:
    """The step that trains a reward model on one kind of feedback."""
    task = TrainTask(study.sft, study.folder / feedback / REWARD_MODEL, snapshot=feedback)
    options = _options(study, study.recipe.reward_model)
    return Step(
        name=f"{feedback}/{REWARD_MODEL}",
        ledger=study.ledger,
        method=REWARD_MODEL,
        options=options,
        train=task,
    )


def method_step(study: Study, feedback: str, method: str) -> Step:
    """The step that trains a method on one kind of feedback and samples its outputs to the evaluation set.

    Best-of-n only samples.
    """
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
    return Step(
        name=name,
        ledger=study.ledger,
        method=method,
        options=_options(study, options),
        train=train,
        samples=(sampled,),
    )


def _options(study: Study, given: object) -> dict[str, str]:
    return {**options_of(given), "seed": str(study.seed)}  # type: ignore[arg-type]


def _said(done: Done) -> str:
    shown = [f"{name.split('/')[-1]} {done.metrics[name]:.3f}" for name in SHOWN if name in done.metrics]
    return f"{done.name}: {done.seconds:.0f} s" + (f" ({', '.join(shown)})" if shown else "")


SHOWN = ("held_out/accuracy", "kl", "loss")


def pair_with_baseline(ledger: Ledger, study: Study, producers: Iterable[str]) -> None:
    """Pair the outputs of every producer to the evaluation set with the baseline's, as source EVALUATION."""
    for producer in producers:
        pair(ledger, PairTask(EVALUATION, (Source(producer),), study.evaluation, Source(BASELINE)))


def method_win_rates(ledger: Ledger, feedback: Sequence[Feedback], n: int) -> tuple[MethodWinRate, ...]:
    """Win rates of every producer against the baseline, by every kind of judge that judged it.

    n: number of instructions in the evaluation set; one without a judgement counts as failed.
    """
    found = against_baseline(ledger)
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
            row = MethodWinRate(
                method=method,
                trained_on=trained_on,
                judged_by=judges.name,
                win_rate=rate_of(result.interval),
                n=n - failed,
                n_failed=failed,
            )
            if producer != SFT:
                lead = win_rate_difference(means[producer], means[SFT])
                row = replace(row, gain=rate_of(lead.interval, DIFFERENCE))
            rows.append(row)
    sft = [row for row in rows if row.method == SFT]  # the same policy in every world
    worlds = dict.fromkeys(row.trained_on for row in rows if row.trained_on)
    same = [replace(row, trained_on=world) for row in sft for world in worlds]
    return (*same, *(row for row in rows if row.method != SFT))


def against_baseline(ledger: Ledger, source: str = EVALUATION, baseline: str = BASELINE) -> pd.DataFrame:
    """Every judgement of an output against the baseline's, in the pairs of a source.

    Columns: producer, judge (name), instruction (id), pair_id, preference (P(the producer's output
    preferred), NaN without a verdict).
    """
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


def preference_table(found: pd.DataFrame, world: Feedback) -> pd.DataFrame:
    """Mean preferences of one world, with a row per instruction and a column per method.

    found: of `against_baseline`. The methods are those that were trained and judged by this feedback.
    """
    mine = found[found["judge"].isin(world.judges)]
    mine = mine[mine["producer"].str.startswith(f"{world.name}/") | (mine["producer"] == SFT)]
    method = mine["producer"].str.rpartition("/")[2]
    return mine.assign(method=method).pivot_table(index="instruction", columns="method", values="preference")


def rank_agreement(ledger: Ledger, people: Feedback, simulators: Feedback) -> RankAgreement | None:
    """Correlations of the two worlds' rankings of the methods; None for fewer than 3 methods.

    The interval of Spearman's correlation is a bootstrap over instructions.
    """
    found = against_baseline(ledger)
    theirs, ours = preference_table(found, people), preference_table(found, simulators)
    common = [name for name in theirs.columns if name in ours.columns]
    if len(common) < 3:
        return None
    theirs, ours = theirs[common], ours[common]
    spearman = rank_correlation(ours, theirs)
    kendall = rank_correlation(ours, theirs, "kendall", draws=10)
    interval = spearman.over_instructions
    rate = Rate(spearman.value, *DIFFERENCE) if interval is None else rate_of(interval, DIFFERENCE)
    return RankAgreement(
        spearman=rate,
        kendall=kendall.value,
        methods=len(common),
        resolved_by_people=_resolved(theirs),
        resolved_by_simulators=_resolved(ours),
    )


def _resolved(preferences: pd.DataFrame) -> float:
    """Share of the pairs of methods whose win rates differ significantly."""
    named = preferences.rename_axis(index="instruction").reset_index()
    rows = named.melt("instruction", var_name="model", value_name="preference").dropna()
    better = significantly_better(win_rate_estimates(rows))
    pairs = len(better) * (len(better) - 1) / 2
    return float(better.sum() / pairs)
