"""A leaderboard on a terminal, in percent."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from farm.evaluation.leaderboard_report import NOT_ASKED, Leaderboard, LeaderboardEntry, Strengths, percent
from farm.evaluation.published import Compared
from farm.statistics.win_rates import WinRate
from farm.terminal.common import plain, table

SHOWN = 60  # models; --json has all


def leaderboard_view(found: Leaderboard) -> RenderableType:
    """One row a model; models of one cluster cannot be told from each other."""
    control = " and ".join(found.controls) or "nothing"
    head = plain(
        f"{found.annotator}, against {found.reference}; evaluation set {found.set_name or 'as judged'}; "
        f"controlled for {control}, difficulty: {found.difficulty}"
    )
    compared = any(place.published is not None for place in found.places)
    last = "published#" if compared else "length#"  # there is no room for both
    rows = table("model", "win %#", "se#", "95 %#", "LC#", "se#", "boot#", "n#", "failed#", "rank#", last)
    for place in found.places[:SHOWN]:
        rate, controlled = place.rate, place.controlled.rate
        rows.add_row(
            plain(place.model),
            number(percent(rate.value)),
            number(percent(rate.standard_error)),
            span_of(rate, "-"),
            number(percent(controlled.value) if controlled else None),
            number(percent(controlled.standard_error) if controlled else None),
            number(percent(controlled.bootstrap_error) if controlled else None),
            f"{rate.n:,}",
            f"{rate.n_failed:,}",
            "" if place.best is None else f"{place.best}-{place.worst}",
            number(place.published) if compared else f"{place.length:,.0f}",
        )
    said: list[RenderableType] = [head, rows]
    if len(found.places) > SHOWN:
        said.append(Text(f"... and {len(found.places) - SHOWN} more models: see --json"))
    if found.lacking and found.controls:
        said.append(plain(f"no instruction difficulty: {found.lacking}"))
    said += [_shifted(place) for place in found.places if place.controlled.by_row_position is not None]
    refused = [place for place in found.places if was_refused(place)]
    said += [plain(f"{place.model}: not controlled: {place.controlled.reason}") for place in refused]
    return Group(*said)


def was_refused(place: LeaderboardEntry) -> bool:
    """Whether a control was asked for and could not be made."""
    return place.controlled.rate is None and place.controlled.reason != NOT_ASKED


def _shifted(place: LeaderboardEntry) -> Text:
    shifted = percent(place.controlled.by_row_position)
    return plain(
        f"{place.model} lacks rows ({place.rate.n_failed} failed): joined by row position, as by AlpacaEval, "
        f"its length-controlled figure would be {number(shifted)}, with instructions' difficulties mixed up"
    )


def strengths_view(found: Strengths) -> RenderableType:
    """Bradley-Terry strengths in log-odds."""
    head = plain(f"{found.annotator}: Bradley-Terry of {found.n:,} judgements, {found.n_failed:,} failed")
    rows = table("model", "strength#", "95 %#", "n#", "failed#", "rank#")
    for place in found.places[:SHOWN]:
        interval = place.strength
        span = "" if interval.low is None else f"{interval.low:.2f} to {interval.high:.2f}"
        rows.add_row(
            plain(place.model),
            f"{interval.value:.3f}",
            span,
            f"{place.n:,}",
            f"{place.n_failed:,}",
            f"{place.best}-{place.worst}",
        )
    return Group(head, rows)


def compared_view(found: Compared) -> RenderableType:
    """Our leaderboard, if there is one, then rank correlations with the published column."""
    head = plain(f"Rank correlations with {found.column}")
    rows = table("", "models#", "Spearman#", "95 %#", "Kendall#", "95 %#")
    for each in found.comparisons:
        cells = []
        for rank in (each.spearman, each.kendall):
            span = rank.over_models
            cells += [f"{rank.value:.3f}", "" if span.low is None else f"{span.low:.2f}-{span.high:.2f}"]
        rows.add_row(plain(each.first), f"{each.spearman.n_models}", *cells)
    ours = [leaderboard_view(found.board)] if found.board else []
    return Group(*ours, head, rows)


def span_of(rate: WinRate, between: str) -> str:
    """The interval of a win rate in percent; empty where it has none. between: stands between its ends."""
    low, high = percent(rate.interval.low), percent(rate.interval.high)
    return "" if low is None else f"{number(low, 1)}{between}{number(high, 1)}"


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many digits after the point; empty where there is none."""
    return "" if value is None else f"{value:.{digits}f}"
