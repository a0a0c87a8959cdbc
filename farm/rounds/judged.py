"""The judged pairs of each round, as a snapshot: sample, pair, annotate and snapshot, one after another.

Set, outputs, pairs and snapshot of a round have one name, that of the run and the number of the round. So a
run that is started again finds what was done. A round that has its snapshot is not looked at again, so that
judgements that come later do not change what was learnt.
"""

from __future__ import annotations

from dataclasses import replace

from annotators.clients.budget import Charge
from annotators.composite import all_specs, questions_of
from db.ledger import Ledger, PairFilter
from db.queries import fresh, training
from db.queries.fresh import Bought
from farm.config import Decoding, TrainConfig, loading_of
from farm.evaluate import refuse_half
from farm.judging.at_work import AnnotatorAtWork
from farm.judging.in_training import lacking, refuse_beyond
from farm.options.train import TrainTask
from farm.pair import PairTask, pair
from farm.progress import Progress
from farm.rounds.instructions import set_of_round
from farm.sample import SampleTask, sample
from farm.snapshot import Choice, snapshot


class JudgedRounds:
    """The rounds of one run. name: of the run; it follows from all that can change what is drawn and judged.

    The caps of the annotator's account and --max-judgements hold for all rounds, in whatever process.
    """

    def __init__(
        self,
        ledger: Ledger,
        task: TrainTask,
        config: TrainConfig,
        worker: AnnotatorAtWork,
        *,
        name: str,
        progress: Progress,
    ) -> None:
        self._ledger, self._task, self._config, self._worker = ledger, task, config, worker
        self._name, self._progress = name, progress
        [self._annotator_id] = ledger.write_patiently(lambda w: w.annotators([worker.annotator.card]))
        spent = self._bought_for_all()
        worker.account.spent = Charge(requests=spent.requests, cost=spent.cost)

    def name(self, number: int) -> str:
        """The name of all that round `number` (from 1) has in the ledger."""
        return f"{self._name} round {number}"

    def snapshot(self, number: int, model: str) -> str:
        """The name of the snapshot of a round, which is made if it is not there. model: draws the outputs.

        Raises RunStopped where a budget or the provider ends the run: what was done until then is kept.
        """
        name = self.name(number)
        if all(card.name != name for card in training.snapshots(self._ledger)):
            seed, before = self._config.seed, self.name(number - 1)
            set_of_round(
                self._ledger,
                self._task,
                seed,
                number=number,
                name=name,
                before=before,
                progress=self._progress,
            )
            self._draw(number, model)
            self._judge(name)
            judges, both = (self._worker.annotator.name,), self._task.judging.orders == "both"
            snapshot(self._ledger, name, Choice(judges, source=name, average_orders=both))
        return name

    def instructions(self, number: int) -> int:
        """The number of instructions of a round."""
        return sum(1 for _ in training.instructed(self._ledger, self.name(number)))

    def bought(self, number: int) -> Bought:
        """What the annotator said of the pairs of a round, and what it took."""
        keys = [spec.draw_key for spec in all_specs(self._worker.annotator)]
        return fresh.bought(self._ledger, self.name(number), self._annotator_id, keys)

    def _bought_for_all(self) -> Bought:
        rounds = range(1, (self._task.rounds.count or 0) + 1)
        return sum(map(self.bought, rounds), Bought(0, 0, 0.0))

    def _draw(self, number: int, model: str) -> None:
        """Draw the outputs of a round, and let all outputs to one instruction meet."""
        name, wanted = self.name(number), self._task.rounds
        loading = loading_of(self._config)
        drawn = SampleTask(
            name,
            producer=name,
            n=wanted.draws,
            decoding=Decoding(temperature=wanted.temperature, max_new_tokens=wanted.max_new_tokens),
            loading=replace(loading, template=self._config.template) if number == 1 else loading,
            seed=self._config.seed,
        )
        report = sample(self._ledger, model, drawn, self._progress)
        pair(self._ledger, PairTask(name, (report.source,), set_name=name, how="all"))

    def _judge(self, name: str) -> None:
        """Ask about the pairs of a round that lack a judgement. All of it is bought, or nothing."""
        annotator, times = self._worker.annotator, self._task.judging.replicates
        ids = tuple(self._ledger.pair_keys(PairFilter(source=name)))
        wanted = lacking(
            self._ledger,
            self._annotator_id,
            ids,
            replicates=range(times),
            times=times * questions_of(annotator),
        )
        refuse_beyond(self._task.max_judgements, self._bought_for_all(), wanted, "this round")
        judged = self._worker.judge(PairFilter(source=name), self._progress)
        refuse_half(judged.elsewhere, "judgements", name)
