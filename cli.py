"""The command line: names the commands, and loads the module of the one that is asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from typer._click import Command

COMMANDS = {
    "quickstart": "AlpacaFarm's whole study in the embedded world: no key, no download, no GPU. "
    "Again, it goes on.",
    "validate": "Train every method on people's and on simulators' feedback: do both rank the methods alike?",
    "import": "Bring files of the field's formats into the ledger. Again is harmless.",
    "export": "Write the ledger's judgements in one of the field's formats.",
    "snapshot": "Freeze judgements, by content, for training.",
    "world": "Make the embedded world in the ledger, or let its people or its truth judge "
    "pairs; twice is as once.",
    "sample": "Draw a model's outputs to a set of instructions. What is there already is not drawn again.",
    "pair": "Make pairs of outputs in the ledger; of a producer's, those of its latest decoding.",
    "annotators": "List the catalogue, show one annotator, or make a pool judge as people do.",
    "annotate": "Let an annotator judge the ledger's pairs. What it has judged already it does "
    "not judge again.",
    "serve-simulator": "Play an OpenAI-compatible provider of judges on this machine, until interrupted.",
    "label": "Judge pairs yourself, in the browser, until Ctrl-C.",
    "train": "Train a reference method; every option of the method is a flag too.",
    "audit": "How far annotators agree with people, with a gold standard and with each other.",
    "robustness": "Do null models, fake verdicts and padding lose under every annotator?",
    "over-optimisation": "Gold utility or win rate against sqrt(KL) for several reward models, and which "
    "of them has turned.",
    "people": "A judge beside people: may it replace them, what would they say, whom do both rank best.",
    "evaluate": "A model's win rate against a reference: samples, pairs and judges what is "
    "missing, then counts.",
    "leaderboard": "Win rates against one reference, length-controlled too; or Bradley-Terry strengths.",
    "report": "One self-contained page about the ledger; or its figures for a paper.",
    "status": "What the ledger holds.",
    "browse": "Look at the ledger in the browser, with queries worth having, until Ctrl-C.",
    "trace": "What a number, a checkpoint or a judgement rests on, down to prompts and replies.",
    "doctor": "What of the environment and the ledger works, with a remedy for each fault.",
    "backup": "Copy the ledger to a new file while others may write; the copy is checked.",
    "merge": "Bring another ledger's facts into this one, by content; nothing is doubled.",
}
"""Each command with its help, in the order of `farm --help`. A test compares them with the commands' own."""


def load(name: str) -> Command:
    """The command of this name, from the module of its name."""
    from farm.commands import module_of

    command = typer.main.get_command(import_module(module_of(name)).commands)
    command.name = name
    return command


class Commands(TyperGroup):
    """Commands by name and help. A command is loaded when it is called or completed."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """See click."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Command | None:  # type: ignore[override]
        """The name with its help alone."""
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(  # type: ignore[override]
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """See click; here the command itself is needed."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if command and name else command, rest


app = typer.Typer(
    name="farm",
    help="A sandbox for learning from simulated human feedback.",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would treble the time to the first line of help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("preference-farm"))
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    ledger: Annotated[
        str, typer.Option(envvar="FARM_LEDGER", help="The ledger: a SQLite file or a PostgreSQL URL.")
    ] = "farm.db",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    from farm.commands.common import Context

    context.obj = Context(ledger, debug)


def main() -> None:
    """Run the command line; a FarmError becomes one line on standard error and exit code 1."""
    try:
        app()
    except Exception as error:
        from db.errors import FarmError

        if "--debug" in sys.argv or not isinstance(error, FarmError):
            raise
        from farm.escaping import printed

        typer.echo(printed(f"farm: {error}"), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
