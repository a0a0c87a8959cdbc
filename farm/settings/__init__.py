"""Configurations: frozen classes whose fields state type, default, limits, meaning and flag once.

fields     one field: its type, default, limits, words and flag
words      the error text of a wrong value, and texts read as values
checked    `Config` and `Options`, which check themselves, and `build`, which makes them of YAML and flags
written    the options of a configuration, read from its source
project    `farm.toml`, what the commands of one project share
"""
