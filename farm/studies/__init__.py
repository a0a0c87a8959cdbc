"""Whole experiments made of the verbs, and what they found.

recipe               which methods a study trains, with which options: a YAML file
work                 heavy steps in processes side by side
results              what a study found, as records that a file holds
annotators           simulated judges beside people
validation           the same study on simulated and on human feedback
over_optimisation    what more optimisation of a reward model does to the truth
"""
