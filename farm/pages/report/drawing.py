"""What all figures share: settings of matplotlib, colours for colour-blind readers, labels without
overlap."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from db.whole_files import Kind, write_bytes_whole, write_whole
from farm.escaping import cell

matplotlib.use("Agg")

# Okabe and Ito (2008), without black, and without yellow, which is hard to see on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
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
MAKER = "Preference Farm"
PHONE = 2.9  # inches: on a page of 320 pixels, less its margins, its text still has 11 pixels
SMALLEST = 8  # points: the smallest text of a figure, 12 pixels on the page
BROAD = 6.4  # inches: a broader figure needs a broad page for text of 11 pixels
PLACES = tuple(  # points from a mark, the nearest first
    (x, y) for above, below in ((4, -11), (14, -21), (24, -31)) for x in (6, -6) for y in (above, below)
)

Draw = TypeVar("Draw", bound="Callable[..., Figure]")


@dataclass(frozen=True)
class Figure:
    """One figure with its data. description: what it shows, for readers who cannot see it."""

    name: str
    title: str
    description: str
    data: pd.DataFrame
    drawing: Drawing
    narrow: Drawing | None = None  # the same, as wide as a phone's page

    @property
    def is_broad(self) -> bool:
        """Whether the drawing is for broad pages alone."""
        return bool(self.drawing.get_figwidth() > BROAD)

    def save(self, folder: Path) -> list[Path]:
        """Write PDF, PNG and the data as CSV into a folder. Returns the paths."""
        places = self.places(folder)
        for path, kind in places.items():
            if path.suffix == ".csv":
                write_bytes_whole(path, as_csv(self.data).encode(), kind)
            else:
                write_whole(path, self._draw, kind)
        return list(places)

    def places(self, folder: Path) -> dict[Path, Kind]:
        """The files that `save` writes, and by what it knows its own."""
        stem = folder / self.name
        head = as_csv(self.data.head(0)).encode()
        return {
            stem.with_name(f"{self.name}.pdf"): Kind(b"%PDF-", MAKER.encode()),
            stem.with_name(f"{self.name}.png"): Kind(b"\x89PNG", MAKER.encode()),
            stem.with_name(f"{self.name}.csv"): Kind(head),
        }

    def _draw(self, path: Path) -> None:
        said = {"Creator" if path.suffix == ".pdf" else "Software": MAKER}
        with style():
            self.drawing.savefig(path, dpi=200, facecolor="white", metadata=said)


def for_phones_too(draw: Draw) -> Draw:
    """A function that draws a figure, called twice: the second time with narrow=True, for `Figure.narrow`."""

    @wraps(draw)
    def drawn(*args: Any, **options: Any) -> Figure:
        return replace(draw(*args, **options), narrow=draw(*args, **options, narrow=True).drawing)

    return cast(Draw, drawn)


@contextmanager
def style(narrow: bool = False) -> Iterator[None]:
    """A context with our settings of matplotlib and no warnings of missing glyphs. narrow: for a phone."""
    settings = STYLE | {"font.size": SMALLEST} if narrow else STYLE
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_axes(width: float = 6.4, height: float = 4.0, narrow: bool = False) -> tuple[Drawing, Axes]:
    """A figure of matplotlib with one pair of axes. width, height: in inches. narrow: at most PHONE wide."""
    drawing = Drawing(figsize=(min(width, PHONE) if narrow else width, height))
    return drawing, drawing.subplots()


def mark(k: int) -> dict[str, Any]:
    """The colour and the shape of the k-th series; either alone tells series apart."""
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}


def errors(rows: pd.DataFrame, name: str, low: str = "low", high: str = "high") -> NDArray[np.float64]:
    """The lengths of error bars below and above the column `name`: (2, rows); 0 for an unknown interval."""
    known = rows[low].notna() & rows[high].notna()
    sides = (rows[name] - rows[low], rows[high] - rows[name])
    return np.array([side.where(known, 0.0).clip(lower=0.0) for side in sides])


def level(axes: Axes, at: float, words: str) -> None:
    """Draw a dashed vertical line with its name above the axes."""
    axes.axvline(at, linestyle="--", linewidth=1, color="black", alpha=0.6)
    axes.annotate(
        words,
        (at, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        ha="center",
        va="bottom",
    )


def name_points(
    drawing: Drawing, axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str]
) -> None:
    """Write each name beside its mark, inside the axes and without overlap where there is room.

    points: (x, y) of each mark in the units of the axes.
    """
    drawing.draw_without_rendering()
    renderer = FigureCanvasAgg(drawing).get_renderer()
    marks = [axes.transData.transform(point) for point in points]
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in marks]
    room = axes.get_window_extent(renderer)
    for point, name in zip(points, names, strict=True):
        for place in PLACES:
            side = "left" if place[0] > 0 else "right"
            text = axes.annotate(
                short(name), point, xytext=place, textcoords="offset points", fontsize=8, ha=side
            )
            text.set_in_layout(False)
            box = text.get_window_extent(renderer)
            inside = room.x0 <= box.x0 and box.x1 <= room.x1
            if (inside and not any(box.overlaps(other) for other in taken)) or place == PLACES[-1]:
                taken.append(box)
                break
            text.remove()


def short(text: str, limit: int = 34) -> str:
    """A name of at most `limit` characters for a figure. Dollar signs are escaped: matplotlib reads them as
    mathematics."""
    clean = "".join(c for c in str(text) if c.isprintable()).replace("$", r"\$")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def as_csv(data: pd.DataFrame) -> str:
    """A frame as CSV; cells are escaped for spreadsheets (farm/escaping.py)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(data.columns)
    for row in data.itertuples(index=False):
        writer.writerow(map(cell, row))
    return buffer.getvalue()
