"""The commands of `farm`, by group; importing them loads neither torch, transformers nor pandas."""

from farm.commands import auditing, data, judging, training, upkeep

GROUPS = (data.commands, judging.commands, training.commands, auditing.commands, upkeep.commands)
