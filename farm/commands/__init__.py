"""The commands of `farm`, by group; importing them loads neither torch, transformers nor pandas.

common        what the commands share: the options before the command, common flags, and printing
annotators    `farm annotators [NAME]`, `farm annotators calibrate`
auditing      commands that measure annotators
data          commands that bring facts into the ledger and take them out
judging       commands that judge pairs
labelling     the command that lets people judge pairs themselves
people        commands that put a judge beside people: `farm people`
ranking       commands that rank models
reporting     the command that makes pages and figures
sampling      commands that draw outputs and pair them
studying      commands that run whole studies
training      commands that sample from models and train them
upkeep        commands that look after the ledger
world         the command that makes the embedded world, and lets those who live in it judge
"""

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
