"""The commands of `farm`, by group; importing them loads neither torch, transformers nor pandas."""

from farm.commands import auditing, data, judging, sampling, training, upkeep

GROUPS = (
    data.commands,
    sampling.commands,
    judging.commands,
    training.commands,
    auditing.commands,
    upkeep.commands,
)
