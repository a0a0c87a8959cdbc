"""Draw outputs to the instructions of a set into the ledger: `farm sample MODEL`.

A model is a directory or hub id, which runs here, or a name at an OpenAI-compatible server. An output is
identified by its producer, by everything that can change it (weights, decoding, seed), and by the number of
the draw. What is there already is not drawn again, so an interrupted run goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from db.errors import ConfigError, did_you_mean
from db.ids import Json
from db.ledger import Ledger
from db.queries import training
from db.queries.holdings import names_of
from db.queries.outputs import Source
from db.records import Instruction
from farm.config import ModelConfig
from farm.options.sample import SampleTask as SampleTask
from farm.producers.answers import Wanted
from farm.producers.outputs import Outputs
from farm.progress import Progress

if TYPE_CHECKING:
    from farm.judging.provider import Provider
    from farm.producers.draw_plan import DrawPlan
    from farm.producers.local import LocalModel
    from farm.producers.served import ServedModel


@dataclass(frozen=True)
class SampleReport:
    """What became of the outputs asked for: known + new + elsewhere + the failures."""

    producer: str
    decoding: str  # canonical JSON of all that can change an output
    instructions: int
    known: int
    new: int
    failures: dict[str, int]
    cost: float | None = None  # US dollars; None where nothing was paid for, or a price is unknown
    elsewhere: int = 0  # left to another run, which is asking for them

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
    ledger.refuse_read_only()
    instructions = _instructions(ledger, task)
    drawing = _local(model, task) if provider is None else _served(model, task, provider)
    wanted = [Wanted(each, tuple(range(task.n))) for each in instructions]
    outputs = Outputs(ledger, _producer(model, task), drawing.decoding, progress, total=len(wanted) * task.n)
    elsewhere = drawing.draw(outputs.lacking(wanted), outputs)
    return SampleReport(
        producer=outputs.producer,
        decoding=drawing.decoding,
        instructions=len(instructions),
        known=outputs.known,
        new=outputs.new,
        failures=dict(drawing.failures),
        cost=drawing.cost,
        elsewhere=elsewhere,
    )


def foresee(ledger: Ledger, model: str, task: SampleTask, progress: Progress) -> DrawPlan:
    """What `sample` would take with a model that runs here, after a few tokens. Nothing is written.

    Raises ConfigError as `sample` does, and where the draw does not fit into the memory.
    """
    instructions = _instructions(ledger, task)
    drawing = _local(model, task)
    outputs = Outputs(ledger, _producer(model, task), drawing.decoding, progress)
    lacking = outputs.lacking([Wanted(each, tuple(range(task.n))) for each in instructions])
    return drawing.plan(lacking, outputs.known)


def _producer(model: str, task: SampleTask) -> str:
    return task.producer or Path(model).name


def _instructions(ledger: Ledger, task: SampleTask) -> list[Instruction]:
    """The instructions to answer. Raises ConfigError where there are none."""
    if found := list(islice(training.instructed(ledger, task.set_name), task.limit)):
        return found
    raise ConfigError(
        "there are no instructions in this set",
        where=task.set_name,
        remedy=did_you_mean(
            task.set_name,
            names_of(ledger, "set"),
            "`farm status` lists the sets; `farm import instructions FILE --set NAME` makes one",
        ),
    )


def _local(model: str, task: SampleTask) -> LocalModel:
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


def _served(model: str, task: SampleTask, provider: Provider) -> ServedModel:
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
