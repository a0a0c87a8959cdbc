"""The simulated language models that judge in this world, for annotators/simulator.

Which member of a crowd answers is told by all that stands before the question: the model's name, the system
message, the worked examples. Another wording is another judge, with weights, leanings and noise of its own,
drawn more widely around gold's than people's are. One model name stands for a strong quiet judge instead.
They read instruction and outputs from the prompt's text and score them by the features of answers.py.
"""

from __future__ import annotations

from functools import partial

from annotators.simulator import Judge, SimulatorConfig
from db.ids import content_hash
from farm.world.crowd import Person, Tastes, somebody
from farm.world.families import NotOfThisWorld

QUIET_MODEL = "world-quiet"
MEMBERS = 13
OFF_FORMAT = 0.02
"""Share of the replies that keep to no form."""

CROWD_JUDGES = Tastes(
    weight_spread=0.6,
    noise=2.646,
    noise_spread=0.15,
    length_lean=0.8,
    list_lean=0.5,
    first_lean=0.4,
    lean_spread=0.3,
)
QUIET = Tastes(
    weight_spread=0.1,
    noise=0.3,
    noise_spread=0.0,
    length_lean=0.2,
    list_lean=0.1,
    first_lean=0.1,
    lean_spread=0.0,
)


def member(name: str, seed: int, tastes: Tastes = CROWD_JUDGES) -> Person:
    """The judge of this name in the world of this seed; judges have tastes as people have."""
    return somebody(f"judge {name}", seed, tastes)


def cast(model: str, standing: str, seed: int = 0) -> Judge:
    """Who answers a prompt of this model in which this stands before the question."""
    if model == QUIET_MODEL:
        return _judge(member(model, seed, QUIET), 0.0, seed)
    return _judge(member(content_hash("world judge", [model, standing]), seed), OFF_FORMAT, seed)


def world_simulator_config(seed: int = 0) -> SimulatorConfig:
    """The provider of the world of this seed: any model name is of the crowd, but for QUIET_MODEL."""
    return SimulatorConfig(casting=partial(cast, seed=seed))


def _judge(person: Person, off_format: float, seed: int) -> Judge:
    """A simulated judge with the tastes of a person. Of other worlds' instructions it knows nothing."""

    def worth(instruction: str, input: str, output: str) -> float:
        try:
            return person.worth(instruction, input, output)
        except NotOfThisWorld:
            return 0.0

    return Judge(
        utility=worth,
        noise=person.noise,
        position_bias=person.first_lean,
        off_format=off_format,
        seed=seed,
    )
