"""The embedded world: instructions with checkable answers, simulated people and judges, a tiny LM.

A physics lab for methods that learn from feedback: what a good answer is stands in `answers.py`, what it is
worth in `gold.py`, and who says so, with what errors, in `crowd.py` and `judges.py`.
"""
