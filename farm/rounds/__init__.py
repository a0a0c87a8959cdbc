"""Rounds of drawing, judging and learning as one run: `farm train METHOD --rounds N`.

creator        which instructions a policy can still gain from: eva's choice
rewriting      instructions that a model rewrites
instructions   the instructions of a round, as a named set
judged         the judged pairs of a round, as a snapshot
run            the rounds one after another, and the method in each
"""
