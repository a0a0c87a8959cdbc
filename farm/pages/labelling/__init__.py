"""The page on which people judge pairs.

questions    which pairs a person sees, in which order, with catch items
scales       the verdicts that the page offers, on three, five or seven points
criteria     verdicts on single criteria beside it, as aspects of the judgement
sitting      one person's progress: the current pair, a verdict, an undo
door         links that open once, and the cookies that they give
app          the web page
"""
