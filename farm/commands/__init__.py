"""The commands of `farm`, one file each under its name; cli.py loads the one that is asked for.

A command function takes configuration objects. flags.py makes the flags of them.

common             what the commands share: the options before the command, and how they say what came of it
flags              flags made from configuration classes
quickstart         the whole study in the embedded world
validate           both kinds of feedback, compared
import_            files into the ledger
export             judgements into files
snapshot           judgements frozen for training
world              the embedded world, and those who live in it
sample             outputs of a model
pair               pairs of outputs
annotators         the catalogue: `farm annotators [NAME]`, `farm annotators calibrate`
annotate           an annotator judges pairs
serve_simulator    a provider of judges on this machine
label              people judge pairs in the browser
train              a reference method
audit              annotators beside people
robustness         attacks on annotators
over_optimisation  gold utility against sqrt(KL)
people             a judge beside people: replace, win-rate, next, rank, sensitivity
evaluate           one model's win rate
leaderboard        models in order
report             a page about the ledger
status             what the ledger holds
browse             the ledger in the browser
trace              what a number rests on
doctor             what works and what does not
backup             a checked copy of the ledger
merge              another ledger's facts
"""

from keyword import iskeyword


def module_of(command: str) -> str:
    """The module of a command: over_optimisation of over-optimisation, import_ of import."""
    return f"farm.commands.{command.replace('-', '_')}{'_' if iskeyword(command) else ''}"
