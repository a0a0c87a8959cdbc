"""The simulated language models that judge in this world, for annotators/simulator.

The model's name and all text before the question (system message, worked examples) decide which judge
answers. A prompt with another wording thus gets another judge. Judges are simulated persons (crowd.py) whose
weights and leanings are drawn more widely around the gold utility than people's. The model name QUIET_MODEL
is an exception: it is a strong judge with little noise. Judges read the instruction and the outputs from the
text of the prompt.
"""

from __future__ import annotations

from functools import partial

from annotators.simulator import Judge, SimulatorConfig
from db.ids import content_hash
from farm.world.crowd import Person, Tastes, somebody
from farm.world.families import NotOfThisWorld
from farm.world.rewriting import rewritten

QUIET_MODEL = "world-quiet"
MEMBERS = 13
OFF_FORMAT = 0.02
"""Share of the replies that do not keep to the requested form."""

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
    """The judge of this name in the world of this seed. A judge is a person with the tastes of judges."""
    return somebody(f"judge {name}", seed, tastes)


def cast(model: str, standing: str, seed: int = 0) -> Judge:
    """The judge that answers a prompt. standing: the text before the question in the prompt."""
    if model == QUIET_MODEL:
        return _judge(member(model, seed, QUIET), 0.0, seed)
    return _judge(member(content_hash("world judge", [model, standing]), seed), OFF_FORMAT, seed)


def world_simulator_config(seed: int = 0) -> SimulatorConfig:
    """Settings of the simulated provider for the world of this seed. Any model name is accepted."""
    return SimulatorConfig(casting=partial(cast, seed=seed))


def _judge(person: Person, off_format: float, seed: int) -> Judge:
    """A simulated judge with a person's tastes. Answers to instructions not of this world are worth 0."""

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
        rewrites=rewritten,
        seed=seed,
    )
