"""The commands of `farm`, by group; importing them loads neither torch, transformers nor pandas."""

from farm.commands import (
    annotators,
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
    annotators.commands,
    judging.commands,
    labelling.commands,
    training.commands,
    auditing.commands,
    ranking.commands,
    reporting.commands,
    upkeep.commands,
)
