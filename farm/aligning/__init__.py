"""Making a judge judge as people do: `farm annotators align`, and `farm annotators imitate` at the end.

votes          people's votes, on three sides: to learn from, to choose by, to test on
verdicts       what a judge says of pairs, and how often people agree
proposals      what a proposer reads, and the rules that it writes
candidates     a judge with one more rule, as a folder with its lineage
report         what was tried, what became of it, what it cost
run            the search: propose, judge, choose, test once
foreseen       what all of this would ask and cost
persons        what single people judged, on a side to learn from and a held-out one
imitations     a judge for each person, as a folder with its lineage
likeness       how far a person agrees with the own imitation, the judge alone, and somebody else's
imitate        write the imitations, ask them, and compare
"""
