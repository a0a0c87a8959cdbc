"""The commands of `farm`, one file each under its name. cli.py lists them, and loads the one asked for.

A command function takes configuration objects. flags.py makes flags of their fields.

common    what the commands share: the options before the command, the output, the app
flags     flags made from configuration classes
"""

from keyword import iskeyword


def module_of(command: str) -> str:
    """The module of a command: over_optimisation of over-optimisation, import_ of import."""
    return f"farm.commands.{command.replace('-', '_')}{'_' if iskeyword(command) else ''}"
