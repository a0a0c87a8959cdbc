"""The commands of `farm`, one file each under its name. cli.py loads the one asked for.

A file in this folder is a command; nothing else lists it. What `farm --help` says of a command is read from
its file, which is not imported for that. A command function takes configuration objects. flags.py makes flags
of their fields.

common    what the commands share: the options before the command, the output, the app
flags     flags made from configuration classes
completion  names that the shell completes
"""

import re
from keyword import iskeyword
from pathlib import Path

FOLDER = Path(__file__).parent
SHARED = ("__init__", "common", "completion", "flags")
STUDY = (
    *("quickstart", "validate", "import", "export", "snapshot", "world", "sample", "pair", "annotators"),
    *("annotate", "serve-simulator", "label", "methods", "train", "audit", "robustness"),
    *("over-optimisation", "people", "evaluate", "leaderboard", "report", "status", "browse", "trace"),
    *("doctor", "backup", "merge"),
)
"""The order of `farm --help`: that of a study. Commands that have no place here come last, by name."""

GROUP = r'^commands = app\([^)]*?help="(?P<group>.*?)"'
FUNCTION = r'^@commands\.command.*?"""(?P<function>.*?)(?:\n\n|""")'
HELP = re.compile(f"{GROUP}|{FUNCTION}", re.MULTILINE | re.DOTALL)


def _names() -> tuple[str, ...]:
    files = {path.stem for path in FOLDER.glob("*.py")}.difference(SHARED)
    found = {name.rstrip("_").replace("_", "-") for name in files}
    return (*(name for name in STUDY if name in found), *sorted(found.difference(STUDY)))


COMMANDS = _names()
"""The names of all commands."""


def module_of(command: str) -> str:
    """The module of a command: over_optimisation of over-optimisation, import_ of import."""
    return f"farm.commands.{_file_name(command)}"


def summary_of(command: str) -> str:
    """The first paragraph of a command's help, on one line, from its file.

    It is the `help` of a group of commands, else the docstring of the first command function.
    """
    found = HELP.search((FOLDER / f"{_file_name(command)}.py").read_text(encoding="utf-8"))
    said = (found["group"] or found["function"]) if found else ""
    return re.sub(r"\s+", " ", said)


def _file_name(command: str) -> str:
    return f"{command.replace('-', '_')}{'_' if iskeyword(command) else ''}"
