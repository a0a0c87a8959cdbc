"""Fit how often people prefer what a judge prefers, by how much better the judge finds it.

A judge that says "slightly" and "clearly" gets a map from its steps to P(preferred), which makes its
preferences soft (farm/statistics/isotonic.py). The map is fitted on one part of the instructions. On the
other part its Brier score stands beside that of the same judge as it was, which takes its side for certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from annotators import catalogue
from annotators.lists import has_list
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ids import Json, keyed_uniform
from db.ledger import Ledger
from db.queries.frames import identities, judgements
from db.queries.strengths import strengths
from db.whole_files import write_bytes_whole
from farm.evaluation.json_figures import interval_json
from farm.evaluation.mean_votes import mean_votes
from farm.options.calibrate import CalibrateTask
from farm.statistics.agreement import Floats
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import Told, answer, clustered_difference
from farm.statistics.isotonic import isotonic_means

FEWEST = 30  # pairs with a strength that people judged, for the fit and for the check
DECIMALS = 4


@dataclass(frozen=True)
class StrengthCalibration:
    """The result of a fit. fitted, held: pairs of the fit and of the check. counts: of the fit, by steps.

    chances: P(people prefer what the judge prefers), by steps from the tie. before, after: Brier scores on
    what was held out. gain: before less after, with bounds by instruction.
    """

    annotator: str
    out: Path
    fingerprint: str
    fitted: int
    held: int
    counts: tuple[int, ...]
    chances: tuple[float, ...]
    before: float
    after: float
    gain: Interval

    @property
    def better(self) -> Told | None:
        """Whether the soft preferences are shown to fit people better."""
        return answer(self.gain)

    def to_json(self) -> Json:
        """The result as a JSON object."""
        return {
            "annotator": self.annotator,
            "out": str(self.out),
            "fingerprint": self.fingerprint,
            "pairs": {"fitted": self.fitted, "held_out": self.held},
            "counts": list(self.counts),
            "chances": list(self.chances),
            "brier": {"before": self.before, "after": self.after, "gain": interval_json(self.gain)},
            "better": self.better,
        }


def calibrate_strengths(
    ledger: Ledger, spec: AnnotatorSpec, known: AnnotatorSpec, task: CalibrateTask
) -> StrengthCalibration:
    """Fit the map and write the new annotator. known: the annotator as the ledger names it.

    Raises ConfigError where it or people judged too little, or where the file would be no annotator.yaml.
    """
    if task.out.name != catalogue.SPEC_FILE:
        remedy = f"give {task.out.with_suffix('')}/{catalogue.SPEC_FILE}: its folder's name is the new one's"
        raise ConfigError(f"a judge is a folder with {catalogue.SPEC_FILE}", where="--out", remedy=remedy)
    rows = _rows(ledger, known, task)
    levels = int(rows["levels"].iloc[0])
    fit, held = rows[~rows["held"]], rows[rows["held"]]
    for half, name in ((fit, "to be fitted"), (held, "to be checked")):
        if len(half) < FEWEST:
            what = f"{len(half)} pairs with a strength are there {name}, and at least {FEWEST} are needed"
            raise ConfigError(what, where=task.pool, remedy="let people judge more of what it judged")
    steps = fit["steps"].to_numpy(np.int64)
    counts = np.bincount(steps, minlength=levels + 1)[1:]
    chances = _chances(fit["agreed"].to_numpy(float), steps, counts)
    before, after = _brier(held, [1.0] * levels), _brier(held, chances)
    gain = clustered_difference(before - after, held["instruction"].to_numpy(str))
    task.out.parent.mkdir(exist_ok=True)
    write_bytes_whole(task.out, catalogue.with_chances(task.pool, spec, task.out, chances).encode())
    return StrengthCalibration(
        annotator=spec.name,
        out=task.out,
        fingerprint=catalogue.load(str(task.out)).fingerprint,
        fitted=len(fit),
        held=len(held),
        counts=tuple(counts.tolist()),
        chances=tuple(chances),
        before=float(before.mean()),
        after=float(after.mean()),
        gain=gain,
    )


def _chances(agreed: Floats, steps: np.ndarray, counts: np.ndarray) -> list[float]:
    """The isotonic means by steps, from a coin's to certainty; a step that never came has its neighbour's."""
    total = np.bincount(steps, agreed, minlength=len(counts) + 1)[1:]
    with np.errstate(invalid="ignore"):
        means = pd.Series(total / counts).ffill().bfill().to_numpy(float)
    fitted = isotonic_means(means, np.maximum(counts, 1e-9).astype(float))
    return [round(float(each), DECIMALS) for each in np.clip(fitted, 0.5, 1.0)]


def _brier(rows: pd.DataFrame, chances: Sequence[float]) -> Floats:
    """The squared distance of the judge's chance to the mean of people's votes, of each pair."""
    chance = np.asarray(chances)[rows["steps"].to_numpy(np.int64) - 1]
    distance: Floats = np.square(chance - rows["agreed"].to_numpy(float))
    return distance


def _rows(ledger: Ledger, known: AnnotatorSpec, task: CalibrateTask) -> pd.DataFrame:
    """The judge's strengths above the tie beside people: steps, levels, agreed (mean of people's votes for
    what it prefers, ties half), instruction (key), held (kept for the check).

    Raises ConfigError where the judge said no strength of what people judged.
    """
    found = judgements(ledger, has_list, task.source, task.subset)
    people = mean_votes(found, task.reference)[["pair_id", "mean"]]
    told = strengths(ledger)
    numbers = [card.id for card in ledger.annotators() if card.key == known.fingerprint]
    told = told[told["annotator"].isin(numbers) & (told["steps"] > 0)]
    rows = told.merge(people, on="pair_id").merge(identities(ledger), on="pair_id")
    if rows.empty:
        what = f"{known.name} said of no pair that people judged how much better it is"
        raise ConfigError(what, where=task.pool, remedy="`farm annotate` it on what people judged")
    held = [
        keyed_uniform("calibration held out", key, task.seed) < task.held_out for key in rows["instruction"]
    ]
    agreed = np.where(rows["lead"] > 0, rows["mean"], 1 - rows["mean"])
    return rows.assign(agreed=agreed, held=held)
