"""The embedded world: instructions with checkable answers, simulated people and judges, and a tiny LM.

lexicon           the words, and the facts about them
families          templates of instructions, and which answers are right
answers           the features of an answer, computed from its text
gold              the gold utility: the true worth of an answer; for evaluation only
crowd             simulated people, each with weights of their own for the features
rewriting         another instruction of the same family, as a model rewrites one
judges            simulated language models as judges, for the simulated provider
fit               fits people and judges to AlpacaFarm's figures: `python -m farm.world.fit`
demonstrations    answers as people write them, with faults
language          the tokenizer and the tiny Llama
pretraining       makes the base model of the package: `python -m farm.world.pretraining DIRECTORY`
build             writes instructions and demonstrations to a ledger
people            writes the judgements of people and of the gold utility to a ledger

The truth is known here, so that the errors of annotators and of methods can be measured exactly.
"""
