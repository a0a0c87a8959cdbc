"""What a configuration is: a frozen class whose fields say type, default, limits, meaning and flag once.

fields     one field: its type, default, limits, words and flag
words      what a person reads of a wrong value, and texts as values
checked    `Config` and `Options`, which check themselves, and `build`, which makes them of YAML and flags
"""
