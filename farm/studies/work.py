"""Runs the heavy steps of a study in parallel processes: train a method, then sample from it.

A step does what `farm train` and `farm sample` do, and writes the same rows to the ledger. A step that is run
again finds what it did before. Each process has one thread: with small models on a CPU, two processes are
faster than two threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

import torch

from db.ledger import Ledger
from farm.progress import silent
from farm.sample import SampleTask, sample
from farm.train import TrainTask, train


@dataclass(frozen=True)
class Step:
    """A method to train, and what to sample from it."""

    name: str  # for the screen
    ledger: str  # address
    method: str | None = None  # name in farm.methods; None trains nothing
    options: Mapping[str, str] = field(default_factory=dict)
    train: TrainTask | None = None
    samples: tuple[SampleTask, ...] = ()
    model: str = ""  # what to sample from, where nothing is trained


@dataclass(frozen=True)
class Done:
    """The result of a step."""

    name: str
    model: str  # directory of the model
    seconds: float
    metrics: Mapping[str, float]
    decodings: tuple[str, ...]  # of each sample task, as canonical JSON


def run(step: Step) -> Done:
    """Train, then sample. What was done before is found in the folder and in the ledger."""
    began = perf_counter()
    model, metrics = step.model, {}
    with Ledger.open(step.ledger) as ledger:
        if step.method is not None and step.train is not None:
            report = train(ledger, step.method, step.train, yaml=None, flags=step.options)
            model, metrics = f"{report.checkpoint}/model", report.metrics
        drawn = [sample(ledger, model, task, silent) for task in step.samples]
    seconds = perf_counter() - began
    return Done(
        name=step.name,
        model=model,
        seconds=seconds,
        metrics=metrics,
        decodings=tuple(report.decoding for report in drawn),
    )


Result = TypeVar("Result")


class Workers:
    """A pool of processes. `workers` starts and ends one."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def begin(self, job: Callable[[], Result]) -> Future[Result]:
        """Start a job, which is pickled, in a free process."""
        return self._pool.submit(job)

    def warm_up(self, count: int | None = None) -> None:
        """Let the processes load their libraries, which takes seconds, while the first step is prepared."""
        for _ in range(count or os.cpu_count() or 1):
            self.begin(_load_libraries)

    def each(self, jobs: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """Do all jobs and yield each result when it is there. Jobs are pickled. An error ends the others."""
        yield from self.finished([self.begin(job) for job in jobs], lambda _: ())

    def finished(
        self, begun: Iterable[Future[Result]], then: Callable[[Result], Iterable[Callable[[], Result]]]
    ) -> Iterator[Result]:
        """Yield the result of each future when it is there, and begin the jobs that `then` makes of it.

        Their results are yielded too. An error is raised here, and jobs that have not started are cancelled.
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
    """Start `count` processes, by default one for each core, and end them at the end of the block."""
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


def _load_libraries() -> None:
    """Load what every step needs, which takes seconds."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification  # noqa: F401

    from farm.models.policy import Policy  # noqa: F401


def _quiet() -> None:
    """Set up a worker: one thread; Ctrl-C is left to the parent; the worker ends when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent to end, killed or not, and end this process whatever it is doing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
