"""Imitations of people on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from farm.terminal.align import bill_line
from farm.terminal.common import counted, plain, table

if TYPE_CHECKING:
    from farm.aligning.imitate import Imitation
    from farm.aligning.likeness import Resemblance
    from farm.statistics.bootstrap import Interval

SHARE, BOUNDS, GAIN = (".3f", ".2f", "+.3f")


def imitation_view(found: Imitation) -> RenderableType:
    """A line for each person, one for all, and what they show."""
    return Group(_lines(found), Text(), *map(plain, _said(found)))


def _lines(found: Imitation) -> RenderableType:
    rows = table("person", "member", "shots#", "pairs#", "own#", "alone#", "others'#", "gain#", "retest#")
    for each in found.members:
        rows.add_row(
            plain(each.person.name),
            plain(each.spec.name),
            f"{len(each.read)}",
            *_figures(found.of[each.person.name]),
        )
    rows.add_row(plain("all, each the same"), "", "", *_figures(found.all))
    return rows


def _figures(of: Resemblance) -> Iterator[str]:
    yield f"{of.pairs:,}"
    yield from map(_share, (of.own, of.alone, of.others))
    yield _gain(of.gain)
    yield _share(of.retest)


def _share(interval: Interval) -> str:
    return interval.text(SHARE, BOUNDS)


def _gain(interval: Interval) -> str:
    return interval.text(GAIN, "+.2f")


def _said(found: Imitation) -> Iterator[str]:
    """What is shown of all together, in words that follow the intervals."""
    whole, at = found.all, f"{found.level:.0%} bounds, {counted(found.all.gain.n, 'instruction')}"
    judge = f"{found.judge} alone at temperature {found.temperature:g}"
    gain = f"a gain of {_gain(whole.gain)} ({at})"
    better = f"agree more with their own imitation than with {judge}"
    yield {
        "yes": f"People {better}, {gain}.",
        "no": f"People agree LESS with their own imitation than with {judge}, {gain}.",
        "not decided": f"NOT shown: that people {better}, {gain}.",
        None: "Nothing was compared.",
    }[found.better]
    own, by = "their own imitation than with another person's", f"by {_gain(whole.personal)}"
    yield {
        "yes": f"It is their own taste: they agree more with {own}, {by}.",
        "no": f"They agree LESS with {own}, {by}: look at what it is told.",
        "not decided": f"NOT shown: that it is their own taste. They agree more with {own} {by}.",
        None: "With one person nothing says whether it is that person's own taste.",
    }[found.personal]
    if whole.retest.value is None:
        yield "Nobody judged a pair twice, so how far they agree with themselves is unknown."
    else:
        yield f"With themselves, on a pair that they judged again, people agree on {_share(whole.retest)}."
    if found.left_out:
        yield f"Left out, since they judged too little: {counted(found.left_out, 'person')}."
    if found.all.failed:
        yield f"{counted(found.all.failed, 'verdict')} of imitations failed; each counts as a coin's."
    if found.paid.requests:
        yield bill_line("the judge", found.paid)
    place = f"./{found.out}" if len(found.out.parts) == 1 else str(found.out)
    yield f"The imitations as one pool: `farm annotate {place}/pool.yaml`."
