"""The figures of the report. Each function draws one figure from a small frame, which stays with the figure.

The page shows a figure as SVG. `Figure.save` writes PDF and PNG for a paper. All rates are shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter

from db.whole_files import refuse_other
from farm.pages.report.drawing import (
    PHONE,
    Figure,
    errors,
    for_phones_too,
    level,
    mark,
    name_points,
    new_axes,
    short,
    style,
)

KIND_PLACE = {"human": 0, "llm": 1, "rm": 2, "gold": 3, "rule": 4}
KIND_NAMES = {
    "human": "people",
    "llm": "language models",
    "rm": "reward models",
    "gold": "gold",
    "rule": "rules",
}
LEANINGS = {"first": "the first shown", "longer": "the longer", "list": "the one with a list"}
CROWDED = 6  # with so many names a figure is larger
NAMED = 8  # so many annotators are named in a figure's description
PEOPLE_TOGETHER = "people with each other"
NARROW = 16  # characters of a name beside a narrow figure
ABREAST = 3  # panels side by side


@for_phones_too
def agreement(data: pd.DataFrame, people: float | None, narrow: bool = False) -> Figure:
    """Agreement of each annotator with people. data: annotator, kind, agreement, low, high.

    people: the agreement of people with each other, drawn as a dashed line.
    """
    ordered = data.sort_values("agreement").reset_index(drop=True)
    with style(narrow):
        drawing, axes = new_axes(6.0, max(2.2, 0.3 * len(ordered) + 1.3), narrow=narrow)
        _by_kind(axes, ordered.assign(place=ordered.index), "agreement", "place")
        axes.set_yticks(range(len(ordered)), _names(ordered["annotator"], narrow))
        axes.set_ylim(-0.6, len(ordered) - 0.4)
        if people is not None:
            level(axes, people, PEOPLE_TOGETHER)
        axes.set_xlabel("agreement with people")
        axes.grid(axis="y", visible=False)
        if ordered["kind"].nunique() > 1:
            drawing.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2 if narrow else 5)
    said = [f"{row['annotator']} {row['agreement']:.3f}" for _, row in ordered[::-1].iterrows()][:NAMED]
    together = "" if people is None else f" People agree with each other {people:.3f}."
    words = f"Agreement with people, best first: {', '.join(said)}.{together}"
    return Figure(
        name="agreement", title="Agreement with people", description=words, data=data, drawing=drawing
    )


@for_phones_too
def agreement_against_price(data: pd.DataFrame, people: float | None, narrow: bool = False) -> Figure:
    """Agreement against price, as in AlpacaFarm's figure 2.

    data: annotator, kind, agreement, low, high, price (US dollars per 1,000 judgements). people: the
    agreement of people with each other, drawn as a dashed line."""
    rows = data.sort_values("price")
    with style(narrow):
        drawing, axes = new_axes(4.2, 3.4, narrow=narrow)
        axes.set_xscale("symlog", linthresh=max(rows.loc[rows["price"] > 0, "price"].min() / 2, 1e-3))
        _by_kind(axes, rows, "price", "agreement", upright=True)
        if people is not None:
            axes.axhline(people, linestyle="--", linewidth=1, color="black", alpha=0.6)
        axes.margins(x=0.15)
        axes.set_xlabel("US dollars per 1,000 judgements")
        axes.set_ylabel("agreement with people")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        points = list(zip(rows["price"], rows["agreement"], strict=True))
        name_points(drawing, axes, points, list(rows["annotator"]))
    said = [
        f"{row['annotator']}, {row['agreement']:.3f} at ${row['price']:.2f}"
        for _, row in rows.sort_values("agreement", ascending=False).iterrows()
    ][:NAMED]
    words = f"Agreement with people against price per 1,000 judgements, best first: {'; '.join(said)}."
    return Figure(
        name="agreement-price", title="Agreement against price", description=words, data=rows, drawing=drawing
    )


@for_phones_too
def bias_and_variance(data: pd.DataFrame, narrow: bool = False) -> Figure:
    """Bias against variance of each annotator. data: annotator, kind, variance, bias."""
    with style(narrow):
        drawing, axes = new_axes(*((4.2, 3.4) if len(data) < CROWDED else (6.4, 4.6)), narrow=narrow)
        _by_kind(axes, data, "variance", "bias", bars=False)
        axes.margins(0.18)
        axes.set_xlabel("variance")
        axes.set_ylabel("bias")
        name_points(
            drawing, axes, list(zip(data["variance"], data["bias"], strict=True)), list(data["annotator"])
        )
    said = [
        f"{row['annotator']} bias {row['bias']:.3f}, variance {row['variance']:.3f}"
        for _, row in data.iterrows()
    ]
    return Figure(
        name="bias-variance",
        title="Bias and variance",
        description="; ".join(said) + ".",
        data=data,
        drawing=drawing,
    )


@for_phones_too
def leanings(data: pd.DataFrame, narrow: bool = False) -> Figure:
    """How often each annotator prefers the output that is shown first, is longer, or has a list.

    data: annotator, and the shares in the columns first, longer and list.
    """
    shown = {name: words for name, words in LEANINGS.items() if data[name].notna().any()}
    with style(narrow):
        drawing, axes = new_axes(6.0, max(2.2, 0.36 * len(data) + 1.3), narrow=narrow)
        for k, (name, words) in enumerate(shown.items()):
            places = [len(data) - 1 - i + 0.18 * (len(shown) / 2 - 0.5 - k) for i in range(len(data))]
            axes.plot(data[name], places, linestyle="", label=words, **mark(k))
        axes.set_yticks(range(len(data)), _names(data["annotator"][::-1], narrow))
        axes.set_ylim(-0.6, len(data) - 0.4)
        axes.axvline(0.5, linestyle="--", linewidth=1, color="black", alpha=0.6)
        axes.set_xlabel("share in which it prefers this output")
        axes.grid(axis="y", visible=False)
        drawing.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2 if narrow else 3)
    words = (
        f"How often each of {len(data)} annotators prefers {', '.join(shown.values())}; 0.5 is no leaning."
    )
    return Figure(name="leanings", title="Leanings", description=words, data=data, drawing=drawing)


def _by_kind(
    axes: Any, rows: pd.DataFrame, x: str, y: str, *, bars: bool = True, upright: bool = False
) -> None:
    """Draw the marks of each kind of annotator in its own colour and shape.

    bars: draw the interval of the agreement. upright: along the y axis.
    """
    for kind, part in rows.groupby("kind", sort=False):
        size = errors(part, "agreement") if bars else None
        where = {"yerr" if upright else "xerr": size}
        look = mark(KIND_PLACE.get(str(kind), 5))
        label = KIND_NAMES.get(str(kind), str(kind))
        axes.errorbar(part[x], part[y], **where, linestyle="", capsize=2, label=label, **look)


@for_phones_too
def win_rates(data: pd.DataFrame, narrow: bool = False) -> Figure:
    """Win rates of methods, one panel for each judge.

    data: method, trained_on, judged_by, win_rate, low, high.
    """
    judges = list(dict.fromkeys(data["judged_by"]))
    feedback = list(dict.fromkeys(data["trained_on"]))
    methods = list(dict.fromkeys(data["method"]))
    with style(narrow):
        drawing, panels = _panels(len(judges), len(methods), narrow)
        for axes, judge in zip(panels, judges, strict=True):
            for k, trained in enumerate(feedback):
                chosen = (data["judged_by"] == judge) & (data["trained_on"] == trained)
                rows = data[chosen]
                shift = 0.2 * (len(feedback) / 2 - 0.5 - k)
                places = [len(methods) - 1 - methods.index(m) + shift for m in rows["method"]]
                label = f"trained on {trained}" if judge == judges[0] else None
                axes.errorbar(
                    rows["win_rate"],
                    places,
                    xerr=errors(rows, "win_rate"),
                    linestyle="",
                    capsize=2,
                    markersize=5,
                    label=label,
                    **mark(k),
                )
            axes.axvline(0.5, linestyle="--", linewidth=1, color="black", alpha=0.6)
            axes.set_title(f"judged by {judge}", fontsize=8 if narrow else 10)
            axes.grid(axis="y", visible=False)
        panels[0].set_yticks(range(len(methods)), _names(methods[::-1], narrow))
        columns = min(len(feedback), 2) if narrow else len(feedback)
        drawing.supxlabel("win rate against the baseline", fontsize=8 if narrow else 10)
        drawing.legend(frameon=False, fontsize=8 if narrow else 9, loc="outside upper center", ncols=columns)
    best = data.sort_values("win_rate").iloc[-1]
    words = (
        f"Win rates of {len(methods)} methods against the baseline, judged by {', '.join(judges)}. Highest:"
        f" {best['method']} trained on {best['trained_on']}, {best['win_rate']:.3f} by {best['judged_by']}."
    )
    return Figure(name="win-rates", title="Methods", description=words, data=data, drawing=drawing)


def _panels(judges: int, methods: int, narrow: bool) -> tuple[Drawing, list[Axes]]:
    """A drawing with a panel for each judge: three side by side; one below the other where it is narrow."""
    height = max(3.0, 0.36 * methods + 1.4)
    columns = 1 if narrow else min(judges, ABREAST)
    rows = -(-judges // columns)
    drawing = Drawing(figsize=(PHONE if narrow else max(5.2, 3.1 * columns), height * rows))
    panels = list(drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes in panels[judges:]:
        axes.set_visible(False)
    return drawing, panels[:judges]


def _names(names: Iterable[str], narrow: bool) -> list[str]:
    """Names for an axis, shorter where the figure is narrow."""
    return [short(name, NARROW) if narrow else short(name) for name in names]


@for_phones_too
def ranking_scatter(data: pd.DataFrame, spearman: float | None, narrow: bool = False) -> Figure:
    """Win rates by simulators against win rates by people, as in AlpacaFarm's figure 3.

    data: method, and simulators and people, each with its _low and _high. spearman: their rank correlation.
    """
    with style(narrow):
        drawing, axes = new_axes(5.8, 5.2, narrow=narrow)
        x, y = data["simulators"], data["people"]
        axes.errorbar(
            x,
            y,
            xerr=errors(data, "simulators", "simulators_low", "simulators_high"),
            yerr=errors(data, "people", "people_low", "people_high"),
            fmt="o",
            color=mark(0)["color"],
            ecolor="black",
            elinewidth=0.5,
            alpha=0.9,
        )
        axes.axline((0.5, 0.5), slope=1, linestyle=":", linewidth=1, color="black", alpha=0.6)
        axes.set_xlabel("trained on and judged by simulators")
        axes.set_ylabel("trained on and judged by people")
        name_points(drawing, axes, list(zip(x, y, strict=True)), list(data["method"]))
    rho = "" if spearman is None else f" Spearman {spearman:.2f}."
    title = "Do simulators rank methods as people do?" + rho
    said = [f"{row['method']} {row['simulators']:.3f} and {row['people']:.3f}" for _, row in data.iterrows()]
    words = f"Win rates by simulators and by people: {'; '.join(said)}.{rho}"
    return Figure(name="ranking", title=title, description=words, data=data, drawing=drawing)


@for_phones_too
def curves(
    name: str,
    title: str,
    data: pd.DataFrame,
    *,
    x: str,
    y: str,
    labels: Sequence[str],
    size: tuple[float, float] = (6.4, 4.0),
    narrow: bool = False,
) -> Figure:
    """Lines with bands. data: curve, the columns named by x and y, and low and high where they are known.

    name, title: of the figure. labels: of the two axes. size: in inches.
    """
    with style(narrow):
        drawing, axes = new_axes(*size, narrow=narrow)
        for k, (curve, rows) in enumerate(data.groupby("curve", sort=False)):
            rows = rows.sort_values(x)
            look = mark(k) if len(rows) < 30 else {**mark(k), "marker": ""}
            axes.plot(rows[x], rows[y], markersize=4, label=short(str(curve)), **look)
            if {"low", "high"} <= set(rows):
                axes.fill_between(
                    rows[x], rows["low"], rows["high"], color=look["color"], alpha=0.15, linewidth=0
                )
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        if data["curve"].nunique() > 1:
            axes.legend(frameon=False, fontsize=8)
    shown = ", ".join(map(str, dict.fromkeys(data["curve"])))
    return Figure(
        name=name,
        title=title,
        description=f"{title}: {labels[1]} against {labels[0]} for {shown}.",
        data=data,
        drawing=drawing,
    )


@for_phones_too
def calibration(data: pd.DataFrame, narrow: bool = False) -> Figure:
    """Reliability curves of reward models. data: curve (the reward model), predicted, observed, low, high,
    n."""
    with style(narrow):
        drawing, axes = new_axes(5.0, 4.4, narrow=narrow)
        axes.plot([0.5, 1], [0.5, 1], linestyle="--", color="black", linewidth=1, alpha=0.6)
        for k, (curve, rows) in enumerate(data.groupby("curve", sort=False)):
            axes.errorbar(
                rows["predicted"] + 0.004 * k,
                rows["observed"],
                yerr=errors(rows, "observed"),
                capsize=2,
                elinewidth=0.8,
                label=short(str(curve)),
                **mark(k),
            )
        axes.set_xlabel("predicted chance of the preferred output")
        axes.set_ylabel("share in which it was preferred")
        drawing.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=1 if narrow else 3)
    words = "Predicted against observed preference on held-out pairs; on the dashed line both are alike."
    return Figure(
        name="calibration",
        title="Can a reward model's probabilities be believed?",
        description=words,
        data=data,
        drawing=drawing,
    )


def save_all(figures: Iterable[Figure], folder: Path) -> list[Path]:
    """Write every figure as PDF, PNG and CSV into a folder, which is made. Returns the paths.

    Raises ConfigError, before anything is written, where a file of another kind is in the place of one.
    """
    wanted = list(figures)
    for figure in wanted:
        for path, kind in figure.places(folder).items():
            refuse_other(path, kind)
    return [path for figure in wanted for path in figure.save(folder)]
