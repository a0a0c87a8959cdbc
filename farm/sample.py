"""Draw outputs to the instructions of a set into the ledger: `farm sample MODEL`.

A model is a directory or hub id, which runs here, or a name at an OpenAI-compatible server. An output is
identified by its producer, by everything that can change it (weights, decoding, seed), and by the number of
the draw. What is there already is not drawn again, so an interrupted run goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from db.errors import ConfigError, did_you_mean
from db.ids import Json
from db.ledger import Ledger
from db.queries import outputs, training
from db.queries.holdings import names_of
from db.queries.outputs import Source
from db.records import Instruction, Output
from farm.config import ModelConfig
from farm.options.sample import SampleTask as SampleTask
from farm.producers.answers import Answer, Producer, Wanted
from farm.progress import Progress

if TYPE_CHECKING:
    from farm.judging.provider import Provider


@dataclass(frozen=True)
class SampleReport:
    """What became of the outputs asked for: known + new + the failures. cost: US dollars, None if unknown."""

    producer: str
    decoding: str  # canonical JSON of all that can change an output
    instructions: int
    known: int
    new: int
    failures: dict[str, int]
    cost: float | None = None

    @property
    def source(self) -> Source:
        """The outputs that this report is about."""
        return Source(self.producer, self.decoding)

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return asdict(self)


def sample(
    ledger: Ledger, model: str, task: SampleTask, progress: Progress, provider: Provider | None = None
) -> SampleReport:
    """Draw the outputs that are missing. provider: the server that runs the model; None: run it here.

    Raises ConfigError where the set is empty or the model cannot be used. Raises RunStopped where a server or
    the budget ends the run early; the outputs drawn until then are in the ledger.
    """
    instructions = list(islice(training.instructed(ledger, task.set_name), task.limit))
    if not instructions:
        raise ConfigError(
            "there are no instructions in this set",
            where=task.set_name,
            remedy=did_you_mean(
                task.set_name,
                names_of(ledger, "set"),
                "`farm status` lists the sets; `farm import instructions FILE --set NAME` makes one",
            ),
        )
    drawing = _drawing(model, task, provider)
    producer = task.producer or Path(model).name
    source = Source(producer, drawing.decoding)
    wanted = list(_missing(ledger, source, task, instructions))
    known = len(instructions) * task.n - sum(len(each.draws) for each in wanted)
    new = 0

    def write(answers: list[Answer]) -> None:
        nonlocal new
        facts = [
            Output(each.instruction, each.text, producer, decoding=drawing.decoding, sample=each.draw)
            for each in answers
        ]
        with ledger.writing() as writer:
            ids = writer.outputs(facts)
            writer.thoughts({i: each.thinking for i, each in zip(ids, answers, strict=True)})
        new += len(facts)
        progress(producer, known + new)

    drawing.draw(wanted, write)
    failures = dict(drawing.failures)
    return SampleReport(
        producer=producer,
        decoding=drawing.decoding,
        instructions=len(instructions),
        known=known,
        new=new,
        failures=failures,
        cost=drawing.cost,
    )


def _drawing(model: str, task: SampleTask, provider: Provider | None) -> Producer:
    if provider is None:
        if task.tokenizer is not None:
            remedy = "leave --tokenizer out, or name the server with --base-url"
            raise ConfigError("a model run here has a tokenizer of its own", remedy=remedy)
        from farm.producers.local import LocalModel  # torch is loaded where it is needed

        return LocalModel(
            model=model,
            decoding=task.decoding,
            seed=task.seed,
            n=task.n,
            best_of=task.best_of,
            reward=task.reward,
            config=task.loading,
        )
    if task.loading != ModelConfig():
        remedy = "leave out --dtype, --device, --attention and --template, or --base-url"
        raise ConfigError("the server loads the model, not this command", remedy=remedy)
    if task.reward is not None:
        raise ConfigError("best-of-n draws from a model run here", remedy="leave --base-url out")
    from farm.producers.served import ServedModel

    return ServedModel(
        model=model,
        decoding=task.decoding,
        seed=task.seed,
        provider=provider,
        max_words=task.max_words,
        tokenizer=task.tokenizer,
    )


def _missing(
    ledger: Ledger, source: Source, task: SampleTask, instructions: Sequence[Instruction]
) -> Iterator[Wanted]:
    """The instructions that lack draws of this source."""
    drawn = outputs.outputs_of(ledger, source, task.set_name)
    there = {(each.instruction.key, each.sample) for each in drawn}
    for instruction in instructions:
        draws = tuple(k for k in range(task.n) if (instruction.key, k) not in there)
        if draws:
            yield Wanted(instruction, draws)
