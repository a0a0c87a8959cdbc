"""Aligning a judge to people: `farm annotators align`.

votes          people's votes, on three sides: to learn from, to choose by, to test on
verdicts       what a judge says of pairs, and how often people agree
proposals      what a proposer reads, and the rules that it writes
candidates     a judge with one more rule, as a folder with its lineage
report         what was tried, what became of it, what it cost
run            the search: propose, judge, choose, test once
foreseen       what all of this would ask and cost
"""
