"""Which responses of a group a reward model can be trusted on: R^2 of the filters of pf_ppo.

Shen and Zhang 2024, arXiv 2409.06957, choose the filter with the highest R^2 of the reward model's scores on
the truth, over the responses that it keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from db.errors import ConfigError
from db.ids import Json
from farm.methods.pf_ppo import Filter, kept_rows
from farm.statistics.bootstrap import Interval
from farm.statistics.explained import explained

NEEDED = ("curve", "instruction", "proxy", "gold")


@dataclass(frozen=True)
class FilterTrust:
    """How well a reward model's scores follow the truth, over the responses that a filter keeps.

    n_failed: responses that are kept and have no gold; they are left out.
    """

    curve: str
    filter: Filter
    r_squared: Interval
    n_failed: int

    def to_json(self) -> Json:
        """The figures as a JSON object."""
        return asdict(self)


def filters(frame: pd.DataFrame) -> list[FilterTrust]:
    """R^2 of each filter for each reward model, by instruction clusters.

    frame: one row per response with the columns curve (the reward model), instruction, proxy (its score) and
    gold (the truth, NaN where it is not known). Each instruction of a curve has equally many responses.
    Raises ConfigError where that is not so, where something is missing and on a score that is no number.
    """
    if missing := [name for name in NEEDED if name not in frame.columns]:
        remedy = f"columns: {', '.join(NEEDED)}"
        raise ConfigError(f"a filter needs the column {missing[0]!r}", where="frame", remedy=remedy)
    if frame.empty:
        raise ConfigError("there are no responses", where="frame", remedy="give a row for each")
    for name in ("curve", "instruction"):
        if lacking := int(frame[name].isna().sum()):
            raise ConfigError(f"{lacking} rows have no {name}", where="frame", remedy="name it in each row")
    try:
        rows = frame.astype({"proxy": float, "gold": float})
    except ValueError as error:
        raise ConfigError(str(error), where="frame") from error
    if not np.isfinite(rows["proxy"]).all() or np.isinf(rows["gold"]).any():
        raise ConfigError("a score is not finite", where="frame", remedy="leave out what has no score")
    return [each for name, own in rows.groupby("curve", sort=True) for each in _of_curve(str(name), own)]


def _of_curve(name: str, rows: pd.DataFrame) -> Iterator[FilterTrust]:
    sizes = rows.groupby("instruction").size()
    if sizes.nunique() > 1 or sizes.iloc[0] < 2:
        what = f"instructions have {sizes.min()} to {sizes.max()} responses"
        remedy = "give each as many, two at least"
        raise ConfigError(what, where=f"curve {name}", remedy=remedy)
    n, rows = int(sizes.iloc[0]), rows.sort_values("instruction", kind="stable")
    for how in get_args(Filter):
        kept = rows.iloc[_kept(rows["proxy"].to_numpy(float), n, how)]
        known = kept.dropna(subset="gold")
        found = explained(known["proxy"], known["gold"], known["instruction"].astype(str))
        failed = kept.index[kept["gold"].isna()].nunique()
        yield FilterTrust(name, how, found, failed)


def _kept(scores: NDArray[np.float64], n: int, how: Filter) -> NDArray[np.int64]:
    """The rows that a filter keeps, with every choice of the response at random as often as any other."""
    choices = (torch.arange(n - 1) + 0.5) / (n - 1)
    groups = len(scores) // n
    found = [kept_rows(torch.tensor(scores), n, how, each.expand(groups)) for each in choices]
    return torch.cat(found).numpy()
