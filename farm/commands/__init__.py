"""The commands of `farm`, by group; importing them loads neither torch, transformers nor pandas."""

from farm.commands import (
    auditing,
    data,
    judging,
    labelling,
    ranking,
    reporting,
    sampling,
    studying,
    training,
    upkeep,
    world,
)

GROUPS = (
    studying.commands,
    data.commands,
    world.commands,
    sampling.commands,
    judging.commands,
    labelling.commands,
    training.commands,
    auditing.commands,
    ranking.commands,
    reporting.commands,
    upkeep.commands,
)
