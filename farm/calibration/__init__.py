"""Fitting annotators to people's votes: `farm annotators calibrate`.

pool           the weights of a pool's members, and its label noise
member_votes   what people and the members of a panel or a cascade said of the same questions
tables         the error tables of a panel that combines by Dawid and Skene
thresholds     the thresholds of a cascade, for a promised agreement
strengths      the chance of each strength of a judge on a scale
"""
