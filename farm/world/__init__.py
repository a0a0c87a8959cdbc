"""The embedded world: instructions with checkable answers, simulated people and judges, a tiny LM.

lexicon           the words, and the facts about them
families          templates of instructions, and what a right answer is made of
answers           the features of an answer, checked by program
gold              what an answer is worth in truth; only evaluation may ask
crowd             simulated people, who weigh the features each in their own way
judges            simulated language models as judges, for the simulated provider
fit               fits the tastes of both to AlpacaFarm's figures: `python -m farm.world.fit`
demonstrations    answers as people write them, with their faults
language          the tokenizer and the tiny Llama
pretraining       makes the base model of the package: `python -m farm.world.pretraining DIRECTORY`
build             puts instructions and demonstrations into a ledger
people            puts the judgements of people and of the gold utility into a ledger

A physics lab: what a good answer is stands in `answers`, what it is worth in `gold`, and who says so, with
which errors, in `crowd` and `judges`.
"""
