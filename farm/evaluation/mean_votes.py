"""The mean of people's votes on each pair."""

from __future__ import annotations

import numpy as np
import pandas as pd

from db.queries.frames import Judgements
from farm.evaluation.references import named, reference_members
from farm.statistics.agreement import sides


def mean_votes(found: Judgements, reference: str) -> pd.DataFrame:
    """The mean of the reference's votes for output_a of each pair, one vote each, ties half.

    Columns: pair_id, mean, voters (how many voted). Pairs of equal texts are left out. Raises ConfigError
    where nobody is such a reference.
    """
    members = [each.code for each in reference_members(named(found.annotators), reference)]
    units = found.units.loc[~found.units["identical"], ["unit", "pair_id", "flipped"]]
    rows = found.judgements[found.judgements["annotator"].isin(members)].dropna(subset=["preference"])
    rows = rows.merge(units, on="unit")
    preference = np.where(rows["flipped"], 1 - rows["preference"], rows["preference"])
    own = rows.assign(vote=preference).groupby(["pair_id", "annotator"])["vote"].mean().reset_index()
    votes = own.assign(vote=sides(own["vote"].to_numpy(float))).groupby("pair_id")["vote"]
    return votes.agg(mean="mean", voters="size").reset_index()
