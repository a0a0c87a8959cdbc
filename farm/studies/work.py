"""The heavy steps of a study, run in processes side by side: train a method, then sample from it.

Each step is what `farm train` and `farm sample` do, with the same rows in the ledger; run again it finds
what it did before. Processes have one thread each: on a CPU two of them are faster with small models than one
process of two threads.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

from farm.sample import SampleTask
from farm.train import TrainTask


@dataclass(frozen=True)
class Step:
    """A method to train, and what to sample from it. name: what the step is called on screen.

    method: of farm.methods; None only samples from train.model. model: where samples come from then.
    """

    name: str
    ledger: str
    method: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    train: TrainTask | None = None
    samples: tuple[SampleTask, ...] = ()
    model: str = ""


@dataclass(frozen=True)
class Done:
    """What came of a step. model: the directory that transformers loads; decodings: of each sample task."""

    name: str
    model: str
    seconds: float
    metrics: Mapping[str, float]
    decodings: tuple[str, ...]


def run(step: Step) -> Done:
    """Train, then sample; what was done before is found in the folder and in the ledger."""
    from db.ledger import Ledger
    from farm.sample import sample
    from farm.train import train

    began = perf_counter()
    model, metrics = step.model, {}
    with Ledger.open(step.ledger) as ledger:
        if step.method is not None and step.train is not None:
            report = train(ledger, step.method, step.train, None, step.options)
            model, metrics = f"{report.checkpoint}/model", report.metrics
        drawn = [sample(ledger, model, task, lambda producer, done: None) for task in step.samples]
    seconds = perf_counter() - began
    return Done(step.name, model, seconds, metrics, tuple(report.decoding for report in drawn))


Result = TypeVar("Result")


class Workers:
    """Processes that do what they are given. Use `workers` to have them and to be rid of them."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def begin(self, job: Callable[[], Result]) -> Future[Result]:
        """Do a job while others go on. It is pickled."""
        return self._pool.submit(job)

    def each(self, jobs: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """Do all jobs; give each result as it comes. The first error ends the rest. Jobs are pickled."""
        yield from self.finished([self.begin(job) for job in jobs], lambda _: ())

    def finished(
        self, begun: Iterable[Future[Result]], then: Callable[[Result], Iterable[Callable[[], Result]]]
    ) -> Iterator[Result]:
        """Give each result as it comes, and begin the jobs that it makes possible.

        The first error ends the rest.
        """
        waiting = set(begun)
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                results = [future.result() for future in done]
                waiting |= {self.begin(job) for result in results for job in then(result)}
                yield from results
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def workers(count: int | None = None) -> Iterator[Workers]:
    """`count` processes, by default one for each core."""
    size = count or os.cpu_count() or 1
    spawn = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(_THREADS)
    try:
        with ProcessPoolExecutor(size, mp_context=spawn, initializer=_quiet) as pool:
            try:
                yield Workers(pool)
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


_THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def _quiet() -> None:
    """In a worker: Ctrl-C is the parent's to handle."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
