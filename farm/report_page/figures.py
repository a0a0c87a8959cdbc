"""The figures: each drawn from a small frame that goes with it, in colours that everyone can tell apart.

A figure is a name, what it shows in words, its data, and a drawing. The page shows it as SVG; `save` writes
PDF and PNG for a paper.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

matplotlib.use("Agg")

# Okabe and Ito (2008), without black and the yellow that white swallows
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
KIND_PLACE = {"human": 0, "llm": 1, "rm": 2, "gold": 3, "rule": 4}
STYLE: dict[Any, Any] = {  # names of matplotlib's settings
    "svg.fonttype": "none",
    "svg.hashsalt": "farm",
    "pdf.fonttype": 42,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "figure.constrained_layout.use": True,
}
FORMATS = ("pdf", "png")


@dataclass(frozen=True)
class Figure:
    """One figure. description: what it shows, for those who cannot see it."""

    name: str
    title: str
    description: str
    data: pd.DataFrame
    drawing: Drawing

    def save(self, folder: Path) -> list[Path]:
        """PDF, PNG and the data as CSV."""
        paths = [folder / f"{self.name}.{kind}" for kind in FORMATS]
        for path in paths:
            with style():
                self.drawing.savefig(path, dpi=200, facecolor="white")
        table = folder / f"{self.name}.csv"
        self.data.to_csv(table, index=False)
        return [*paths, table]


@contextmanager
def style() -> Iterator[None]:
    """Our settings of matplotlib, and no others."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _axes(width: float = 6.4, height: float = 4.0) -> tuple[Drawing, Axes]:
    drawing = Drawing(figsize=(width, height))
    return drawing, drawing.subplots()


def agreement_against_price(data: pd.DataFrame, people: float | None) -> Figure:
    """AlpacaFarm's figure 2. data: annotator, kind, agreement, low, high, price (per 1,000; NaN if unknown).

    people: how far people agree with each other.
    """
    with style():
        drawing, axes = _axes(6.8, max(2.6, 0.34 * len(data) + 1.2))
        ordered = data.sort_values("agreement").reset_index(drop=True)
        for place, (_, row) in enumerate(ordered.iterrows()):
            kind = KIND_PLACE.get(str(row["kind"]), 5)
            errors = [[row["agreement"] - row["low"]], [row["high"] - row["agreement"]]]
            known = pd.notna(row["low"])
            axes.errorbar(
                row["agreement"],
                place,
                xerr=errors if known else None,
                fmt=MARKERS[kind],
                color=COLOURS[kind],
                capsize=2,
            )
        labels = [_with_price(row) for _, row in ordered.iterrows()]
        axes.set_yticks(range(len(ordered)), labels)
        axes.set_ylim(-0.6, len(ordered) + 0.1)
        if people is not None:
            axes.axvline(people, linestyle="--", linewidth=1, color="black", alpha=0.6)
            axes.annotate(
                "people with each other", (people, len(ordered) - 0.5), fontsize=8, ha="center", va="bottom"
            )
        axes.set_xlabel("agreement with people")
        axes.grid(axis="y", visible=False)
    best = ordered.iloc[-1] if len(ordered) else None
    said = "" if best is None else f" Highest: {best['annotator']}, {best['agreement']:.3f}."
    return Figure(
        "agreement", "Agreement with people", f"Agreement of each annotator with people.{said}", data, drawing
    )


def _with_price(row: pd.Series[Any]) -> str:
    price = row["price"]
    return (
        f"{_short(row['annotator'])} (${price:.2f} per 1,000)"
        if pd.notna(price)
        else _short(row["annotator"])
    )


def win_rates(data: pd.DataFrame) -> Figure:
    """data: method, judged (trained on / judged by), win_rate, low, high, in shares."""
    with style():
        series = list(dict.fromkeys(data["judged"]))
        methods = list(dict.fromkeys(data["method"]))
        drawing, axes = _axes(7.2, max(3.0, 0.42 * len(methods) + 1.2))
        for k, judged in enumerate(series):
            rows = data[data["judged"] == judged].set_index("method")
            places = [len(methods) - 1 - methods.index(m) + 0.16 * (len(series) / 2 - k) for m in rows.index]
            errors = [rows["win_rate"] - rows["low"], rows["high"] - rows["win_rate"]]
            axes.errorbar(
                rows["win_rate"],
                places,
                xerr=errors,
                fmt=MARKERS[k % len(MARKERS)],
                color=COLOURS[k % len(COLOURS)],
                capsize=2,
                label=judged,
            )
        axes.set_yticks(range(len(methods)), [_short(m) for m in methods[::-1]])
        axes.axvline(0.5, linestyle="--", linewidth=1, color="black", alpha=0.6)
        axes.set_xlabel("win rate against the baseline")
        drawing.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
        axes.grid(axis="y", visible=False)
    return Figure(
        "win-rates", "Methods", f"Win rates of {len(methods)} methods against the baseline.", data, drawing
    )


def ranking_scatter(data: pd.DataFrame, spearman: float | None) -> Figure:
    """AlpacaFarm's figure 3. data: method, and win rates `simulators` and `people` with their _low, _high."""
    with style():
        drawing, axes = _axes(5.6, 5.0)
        x, y = data["simulators"], data["people"]
        axes.errorbar(
            x,
            y,
            xerr=[x - data["simulators_low"], data["simulators_high"] - x],
            yerr=[y - data["people_low"], data["people_high"] - y],
            fmt="o",
            color=COLOURS[0],
            ecolor="black",
            elinewidth=0.5,
            alpha=0.9,
        )
        for _, row in data.iterrows():
            place = (row["simulators"], row["people"])
            axes.annotate(_short(row["method"]), place, xytext=(5, 4), textcoords="offset points", fontsize=8)
        axes.set_xlabel("trained on and judged by simulators")
        axes.set_ylabel("trained on and judged by people")
    rho = "" if spearman is None else f" Spearman {spearman:.2f}."
    title = "Do simulators rank methods as people do?" + rho
    return Figure("ranking", title, f"Win rates of methods in both worlds.{rho}", data, drawing)


def curves(name: str, title: str, data: pd.DataFrame, *, x: str, y: str, labels: Sequence[str]) -> Figure:
    """Lines with bands. data: curve, x, y and, where known, low and high. labels: of the two axes."""
    with style():
        drawing, axes = _axes()
        for k, (curve, rows) in enumerate(data.groupby("curve", sort=False)):
            rows = rows.sort_values(x)
            colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
            marks = marker if len(rows) < 30 else ""
            axes.plot(rows[x], rows[y], color=colour, marker=marks, markersize=4, label=_short(str(curve)))
            if {"low", "high"} <= set(rows):
                axes.fill_between(rows[x], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        if data["curve"].nunique() > 1:
            axes.legend(frameon=False, fontsize=8)
    shown = ", ".join(map(str, dict.fromkeys(data["curve"])))
    return Figure(name, title, f"{title}: {labels[1]} against {labels[0]} for {shown}.", data, drawing)


def calibration(data: pd.DataFrame) -> Figure:
    """A reliability curve. data: curve (the reward model), predicted, observed, n."""
    with style():
        drawing, axes = _axes(4.8, 4.4)
        axes.plot([0.5, 1], [0.5, 1], linestyle="--", color="black", linewidth=1, alpha=0.6)
        for k, (curve, rows) in enumerate(data.groupby("curve", sort=False)):
            axes.plot(
                rows["predicted"], rows["observed"], marker=MARKERS[k % len(MARKERS)],
                color=COLOURS[k % len(COLOURS)], label=_short(str(curve)),
            )  # fmt: skip
        axes.set_xlabel("predicted chance of the preferred output")
        axes.set_ylabel("share in which it was preferred")
        axes.legend(frameon=False, fontsize=8)
    return Figure(
        "calibration", "Reward models: calibration", "Predicted against observed preference.", data, drawing
    )


def _short(text: str, limit: int = 34) -> str:
    """A name as it fits beside a mark; dollar signs are no mathematics."""
    clean = "".join(c for c in str(text) if c.isprintable()).replace("$", r"\$")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def save_all(figures: Iterable[Figure], folder: Path) -> list[Path]:
    """Every figure as PDF, PNG and CSV in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return [path for figure in figures for path in figure.save(folder)]
