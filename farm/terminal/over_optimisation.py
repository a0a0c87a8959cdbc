"""Curves of over-optimisation on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from farm.over_optimisation import Curve
from farm.terminal.common import figure, plain, rate, table

if TYPE_CHECKING:
    from farm.studies.filters import FilterTrust


def curves_view(found: Sequence[Curve]) -> RenderableType:
    """One row for each point, the peak marked; which curves have turned."""
    rows = table("curve", "level#", "sqrt(KL)#", "n#", "failed#", "gold#", "")
    for curve in found:
        for place, point in enumerate(curve.points):
            counts = (f"{point.n:,}", f"{point.n_failed:,}")
            mark = "peak" if place == curve.peak else ""
            rows.add_row(
                plain(curve.name), f"{point.level:g}", figure(point.sqrt_kl), *counts, rate(point.gold), mark
            )
    turned = [curve.name for curve in found if curve.turned]
    said = (
        f"Past their peak for certain: {', '.join(turned)}" if turned else "No curve has turned for certain."
    )
    return Group(rows, Text(), plain(said))


def filters_view(found: Sequence[FilterTrust]) -> RenderableType:
    """One row for each filter of each reward model."""
    rows = table("curve", "filter", "R²#", "instructions#", "failed#")
    for each in found:
        counts = f"{each.r_squared.n:,}", f"{each.n_failed:,}"
        rows.add_row(plain(each.curve), each.filter, rate(each.r_squared), *counts)
    return Group(rows, Text(), plain("Filters whose intervals overlap may be equally good."))
