"""`farm leaderboard`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.options.leaderboard import Board, LeaderboardOptions
from farm.options.people import Bootstrap

if TYPE_CHECKING:
    from farm.evaluation.leaderboard_report import Leaderboard

commands = app()


@commands.command()
@flags
def leaderboard(
    context: typer.Context,
    options: LeaderboardOptions | None,
    board: Board,
    bootstrap: Bootstrap,
    output: CommandOutput,
) -> None:
    """Win rates against one reference, length-controlled too; or Bradley-Terry strengths."""
    from farm.leaderboard import leaderboard as rank
    from farm.leaderboard import strengths
    from farm.terminal.leaderboard import leaderboard_view, strengths_view

    _refuse(options, board)
    if options is None:
        _compare(board, bootstrap, output, None)
        return
    with context.obj.open() as ledger:
        if board.bradley_terry:
            found = strengths(ledger, options)
            output.show(found.to_json, lambda: strengths_view(found))
            return
        ranked = rank(ledger, options)
    if board.published is not None:
        _compare(board, bootstrap, output, ranked)
        return
    output.show(ranked.to_json, lambda: leaderboard_view(ranked))


def _refuse(options: LeaderboardOptions | None, board: Board) -> None:
    """Flags that do not go together are wrong usage."""
    if options is None and board.published is None:
        raise typer.BadParameter("name an --annotator, or a table with --published")
    if (board.published is None) != (board.against is None):
        raise typer.BadParameter("--published and --against go together")
    if not board.bradley_terry:
        return
    if options is None or board.published is not None:
        raise typer.BadParameter("--bradley-terry ranks by an --annotator, and without --published")
    if options.reference or board.controls or options.difficulty or options.anchors:
        raise typer.BadParameter("--bradley-terry takes no --reference and controls for nothing")


def _compare(board: Board, bootstrap: Bootstrap, output: CommandOutput, ranked: Leaderboard | None) -> None:
    """Rank correlations with the published column."""
    from farm.evaluation.published import compare_published, published
    from farm.terminal.leaderboard import compared_view

    assert board.published is not None
    assert board.against is not None
    table = published(board.published)
    compared = compare_published(table, board.against, ranked, draws=bootstrap.draws, seed=bootstrap.seed)
    output.show(compared.to_json, lambda: compared_view(compared))
