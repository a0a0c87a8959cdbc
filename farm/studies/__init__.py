"""Whole studies: they train and judge several methods, and record what they find.

recipe               which methods a study trains, and with which options: a YAML file
work                 runs the heavy steps of a study in parallel processes
results              the results of a study, as records that a file stores
annotators           compares simulated judges with people
validation           the same study on simulated and on human feedback
over_optimisation    the gold utility as a reward model is optimised further and further
filters              which responses of a group a reward model can be trusted on
"""
