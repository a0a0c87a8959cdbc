"""The catalogue of annotators on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from farm.annotators import AnnotatorDetail, Line, Prospect
from farm.terminal.common import plain, table


def annotators_view(lines: Sequence[Line]) -> RenderableType:
    """The catalogue, one line each, and how its prices are meant."""
    shares = ["share#"] if any(line.share is not None for line in lines) else []
    rows = table("annotator", "model", "replies", "batch#", "noise#", *shares, "$#", "what it is")
    rows.columns[-1].no_wrap = False  # a narrow screen takes its room from the summaries alone
    for line in lines:
        price = "?" if line.price_per_1000 is None else f"{line.price_per_1000:.2f}"
        batch, noise = str(line.batch or ""), f"{line.noise:.2f}" if line.noise else ""
        share = ["" if line.share is None else f"{line.share:.3f}" for _ in shares]
        texts = (plain(line.name), plain(line.model), plain(line.prompt))
        rows.add_row(*texts, batch, noise, *share, price, _summary(line.summary))
    checked = sorted({line.priced for line in lines if line.priced})
    when = f", as they were in {' to '.join(dict.fromkeys((checked[0], checked[-1])))}" if checked else ""
    unknown = "; ? where the price is unknown" if any(line.price_per_1000 is None for line in lines) else ""
    return Group(rows, Text(f"\n$: US dollars for 1,000 pairs of typical length{when}{unknown}."))


def _summary(text: str) -> Text:
    """What an annotator is, on one line, which ends in … where the screen ends."""
    line = plain(text)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def annotator_view(shown: AnnotatorDetail) -> RenderableType:
    """One annotator whole."""
    parts: list[RenderableType] = [annotators_view([shown.line, *shown.members])]
    parts.append(plain(f"fingerprint {shown.fingerprint}"))
    if shown.prospects:
        parts += _prospects(shown.prospects)
    for role, text in shown.prompt:
        parts.append(Text(f"\n[{role}]", style="bold"))
        parts += [plain(line) for line in text.splitlines()]
    return Group(*parts)


def _prospects(prospects: Sequence[Prospect]) -> list[RenderableType]:
    """What comes of asking a judge until its side is clear, by its chance to prefer the first output."""
    rows = table("P(first)#", "draws#", "first#", "second#", "not clear#", "mean said#", "bias of the votes#")
    for each in prospects:
        shares = (f"{share:.3f}" for share in (each.first, each.second, each.open, each.mean))
        rows.add_row(f"{each.chance:g}", f"{each.draws:.2f}", *shares, f"{each.bias:+.3f}")
    told = (
        "\nBy theory, of a judge that prefers the first output with this chance. What is said as a mean has\n"
        "no bias; the mean of the votes at the stop would have the bias of the last column."
    )
    return [Text(), rows, Text(told)]
