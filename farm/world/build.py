"""Builds a world in a ledger: instructions in their sets, and demonstrations. Building again adds nothing.

The set of an instruction depends on its text alone, so that no two sets share an instruction, not even in
worlds of different seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType

from db.errors import ConfigError
from db.ids import Json, keyed_uniform
from db.ledger import Ledger
from db.records import Instruction, Membership, Output, ProducerKind, Use
from farm.world.demonstrations import USUAL, Rates, demonstrate
from farm.world.families import WorldTask, draw
from farm.world.language import Shape, base_model, write_untrained

DEMONSTRATOR = "world-demonstrator"
PATIENCE = 200  # a world counts as exhausted after so many draws for each instruction that is wanted


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many instructions each set has. The defaults are AlpacaFarm's (Dubois et al. 2023, section 4.1)."""

    sft: int = 10_000
    preference: int = 10_000
    unlabelled: int = 20_000
    validation: int = 2_000
    evaluation: int = 805


PAPER = Sizes(unlabelled=2_000, evaluation=2_000)
"""AlpacaFarm's sizes with two changes. 2,000 unlabelled instructions in place of 20,000, for which expert
iteration would draw 320,000 answers. 2,000 evaluation instructions in place of 805, which are too few to tell
methods apart."""
SMALL = Sizes(sft=4_000, preference=2_500, unlabelled=800, validation=1_000, evaluation=800)
TINY = Sizes(sft=1_000, preference=250, unlabelled=100, validation=100, evaluation=100)
SCALES: Mapping[str, Sizes] = MappingProxyType({"tiny": TINY, "small": SMALL, "paper": PAPER})

SHARES: Mapping[str, float] = MappingProxyType(
    {"base": 0.3, "sft": 0.18, "preference": 0.18, "unlabelled": 0.2, "validation": 0.06, "evaluation": 0.08}
)
"""The share of all possible instructions that each set is drawn from. `base` is for pretraining only."""
USES: Mapping[str, Use] = MappingProxyType({"validation": Use.VALIDATION, "evaluation": Use.EVAL})


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """The settings of a world. They determine everything in it."""

    seed: int = 0
    sizes: Sizes = SMALL
    rates: Rates = field(default=USUAL)


@dataclass(frozen=True)
class WorldReport:
    """What the world in the ledger has, and what of it was new."""

    seed: int
    instructions: Mapping[str, int]  # number by set
    demonstrations: int
    new_instructions: int
    new_demonstrations: int
    model: str  # directory of the model that training starts from

    def to_json(self) -> Json:
        """The report as JSON."""
        return {**asdict(self), "instructions": dict(self.instructions)}


def sizes_of(scale: str) -> Sizes:
    """The sizes of a named scale. Raises ConfigError, which lists the names, for an unknown one."""
    if scale not in SCALES:
        raise ConfigError(f"no scale {scale!r}", where="--scale", remedy=f"one of {', '.join(SCALES)}")
    return SCALES[scale]


def set_name(split: str) -> str:
    """The name of a split's set in the ledger: world-sft, world-preference, ..."""
    return f"world-{split}"


def split_of(instruction: Instruction) -> str:
    """The split of an instruction, which depends on its text alone."""
    place = keyed_uniform("world split", instruction.key)
    bounds = zip(SHARES, accumulate(SHARES.values()), strict=True)
    return next(split for split, bound in bounds if place < bound * (1 + 1e-9))


def splits(spec: WorldSpec) -> dict[str, list[WorldTask]]:
    """The instructions of each set, as tasks, in the order in which they were drawn.

    Raises ConfigError where the world has fewer instructions than the sizes ask for.
    """
    wanted = asdict(spec.sizes)
    found: dict[str, list[WorldTask]] = {split: [] for split in wanted}
    met: set[str] = set()
    missing = sum(wanted.values())
    for number in range(PATIENCE * missing):
        if not missing:
            break
        task = draw(f"world/{spec.seed}/{number}")
        split = split_of(task.instruction)
        if split in found and len(found[split]) < wanted[split] and task.instruction.key not in met:
            met.add(task.instruction.key)
            found[split].append(task)
            missing -= 1
    if missing:
        scarce = next(split for split in found if len(found[split]) < wanted[split])
        raise ConfigError(
            f"the world has but {len(found[scarce])} instructions for {scarce}",
            remedy=f"ask for fewer than {wanted[scarce]}",
        )
    return found


def build(ledger: Ledger, spec: WorldSpec, untrained: Path | None = None) -> WorldReport:
    """Write the instructions with their sets, and a demonstration for each instruction of the set sft.

    untrained: a folder to which a model with random weights is written. The report names it as the model to
    start from, in place of the base model.
    """
    tasks = splits(spec)
    memberships = [
        Membership(task.instruction, set_name(split), USES.get(split, Use.TRAIN), task.family.name)
        for split, those in tasks.items()
        for task in those
    ]
    shown = [_demonstration(task, spec) for task in tasks["sft"]]
    with ledger.writing() as writer:
        instructions = writer.new_facts(writer.instructions, [each.instruction for each in memberships])
        writer.memberships(memberships)
        demonstrations = writer.new_facts(writer.outputs, shown)
    if untrained is not None:
        write_untrained(untrained, Shape(), spec.seed)
    counts = {set_name(split): len(those) for split, those in tasks.items()}
    model = str(untrained or base_model())
    return WorldReport(
        seed=spec.seed,
        instructions=counts,
        demonstrations=len(shown),
        new_instructions=instructions,
        new_demonstrations=demonstrations,
        model=model,
    )


def _demonstration(task: WorldTask, spec: WorldSpec) -> Output:
    text = demonstrate(task, str(spec.seed), spec.rates)
    return Output(task.instruction, text, DEMONSTRATOR, ProducerKind.REFERENCE)
