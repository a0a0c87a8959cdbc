"""The alternative annotator test: may this annotator replace people here?

Calderon, Reichart and Dror 2025, "The alternative annotator test for LLM-as-a-judge", arXiv 2501.10970. Each
person j is left out in turn. On every item that j judged, the candidate f and person j are compared with the
other people. S is the share of those others who gave the same label:

    W_f = 1[S(f) >= S(j)],    W_j = 1[S(j) >= S(f)],    d = W_j - W_f
    H0: mean(W_f) <= mean(W_j) - epsilon    against    H1: mean(W_f) > mean(W_j) - epsilon

The test is a one-sided paired t-test of d against epsilon. Items of one cluster, such as pairs of one
instruction, are not independent: then the error of the mean is clustered, and Student's quantile counts
clusters. epsilon is the worth of not asking a person: 0.1
for crowd workers, 0.15 for skilled annotators, 0.2 for experts. omega, the winning rate, is the share of
people for whom H0 is rejected at a false discovery rate of 5 % (Benjamini and Yekutieli 2001). The candidate
passes where omega >= 0.5. rho, the average advantage probability, is the mean of mean(W_f) over people: every
person weighs the same, however many items they judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from farm.statistics.bounds import clustered_error

Floats = NDArray[np.float64]

MIN_PEOPLE = 3
MIN_ITEMS = 30  # per person; another person and the candidate must have judged them too
FALSE_DISCOVERY_RATE = 0.05
PASSING = 0.5


@dataclass(frozen=True, slots=True)
class AgainstPerson:
    """The candidate compared with one person. Advantages are shares in [0, 1]."""

    person: str
    advantage: float  # mean(W_f), rho_j
    person_advantage: float  # mean(W_j)
    p_value: float
    rejected: bool  # H0 is rejected: the candidate is as good as this person to within epsilon
    n: int  # items


@dataclass(frozen=True, slots=True)
class AltTest:
    """The result of the test for one candidate at one epsilon. Rates are shares in [0, 1]."""

    winning_rate: float  # omega
    advantage: float  # rho
    epsilon: float
    people: tuple[AgainstPerson, ...]
    left_out: tuple[str, ...]  # people with too few items to be tested
    n: int  # items that at least one test used
    n_failed: int  # items of people on which the candidate gave no label

    @property
    def passes(self) -> bool:
        """Whether the candidate may replace people: the winning rate is at least 0.5."""
        return self.winning_rate >= PASSING


def alt_test(
    people: pd.DataFrame, candidate: pd.Series[float], epsilon: float, *, min_items: int = MIN_ITEMS
) -> AltTest:
    """Test one candidate against every person.

    people: columns item, annotator and label, one row per judgement, and cluster (of the item), without which
    every item is one. A label is a preference, or any value that can be compared for equality; rows with a
    NaN label are left out. candidate: its label by item, NaN
    where it failed. min_items: a person with fewer usable items is not tested but still counts among the
    others.

    Raises ValueError with fewer than three people to test, with two labels of one person on one item, or with
    an epsilon outside [0, 1).
    """
    if not 0 <= epsilon < 1:
        raise ValueError(f"epsilon is the worth of not asking a person, from 0 to below 1, not {epsilon:g}")
    given = people.dropna(subset=["label"])
    if given.duplicated(["item", "annotator"]).any() or not candidate.index.is_unique:
        raise ValueError("someone labelled an item twice; give one label per annotator and item")
    rows = given.assign(candidate=given["item"].map(candidate))
    if "cluster" not in rows:
        rows["cluster"] = rows["item"]
    n_failed = int(rows.loc[rows["candidate"].isna(), "item"].nunique())
    rows = _alignments(rows.dropna(subset=["candidate"]))
    sizes = rows.groupby("annotator").size().reindex(given["annotator"].unique(), fill_value=0)
    tested = sizes.index[sizes >= min_items]
    if len(tested) < MIN_PEOPLE:
        raise ValueError(
            f"the test needs {MIN_PEOPLE} people with {min_items} items that another person and the "
            f"candidate judged too; there are {len(tested)}"
        )
    rows = rows[rows["annotator"].isin(tested)]
    names = [str(name) for name in tested]
    shares = [rows.loc[rows["annotator"] == name, ["wins", "loses"]].to_numpy(float) for name in tested]
    clusters = [pd.factorize(rows.loc[rows["annotator"] == name, "cluster"])[0] for name in tested]
    both = zip(shares, clusters, strict=True)
    p_values = np.array([_p_value(each[:, 1] - each[:, 0], epsilon, of.astype(np.intp)) for each, of in both])
    rejected = benjamini_yekutieli(p_values)
    found = tuple(
        AgainstPerson(
            person=name,
            advantage=float(share[:, 0].mean()),
            person_advantage=float(share[:, 1].mean()),
            p_value=float(p),
            rejected=bool(r),
            n=len(share),
        )
        for name, share, p, r in zip(names, shares, p_values, rejected, strict=True)
    )
    return AltTest(
        winning_rate=float(rejected.mean()),
        advantage=float(np.mean([person.advantage for person in found])),
        epsilon=epsilon,
        people=found,
        left_out=tuple(str(name) for name in sizes.index[sizes < min_items]),
        n=int(rows["item"].nunique()),
        n_failed=n_failed,
    )


def benjamini_yekutieli(p_values: Floats, rate: float = FALSE_DISCOVERY_RATE) -> NDArray[np.bool_]:
    """Which hypotheses are rejected at this false discovery rate. p_values (m,): returns (m,) bool.

    It holds under any dependence of the tests (Benjamini and Yekutieli 2001, theorem 1.3).
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    ranks = np.arange(1, count + 1)
    below = np.flatnonzero(p_values[order] <= ranks * rate / (count * (1 / ranks).sum()))
    rejected = np.zeros(count, bool)
    if len(below):
        rejected[order[: below[-1] + 1]] = True
    return rejected


def _alignments(rows: pd.DataFrame) -> pd.DataFrame:
    """Add wins = W_f and loses = W_j to each person's judgement; judgements without other people go."""
    on_item = rows.groupby("item")["label"].transform("size") - 1
    same_as_person = rows.groupby(["item", "label"])["label"].transform("size") - 1
    matches = (rows["label"] == rows["candidate"]).groupby(rows["item"]).transform("sum")
    same_as_candidate = matches - (rows["label"] == rows["candidate"])
    compared = rows.assign(
        wins=(same_as_candidate >= same_as_person).astype(float),
        loses=(same_as_person >= same_as_candidate).astype(float),
    )
    return compared[on_item > 0]


def _p_value(differences: Floats, epsilon: float, clusters: NDArray[np.intp]) -> float:
    """One-sided p-value of mean(differences) < epsilon, by Student's t. clusters: of each difference.

    Where all n clusters are equal, the t-test knows no spread and would be certain of two. If they are below
    epsilon, others may still be 1: were their share epsilon, as H0 asks for at least, n would show none of
    them with the chance (1 - epsilon)^n.
    """
    n = len(np.unique(clusters))
    if n < 2:
        return 1.0
    gap = float(differences.mean()) - epsilon
    error = clustered_error(differences, clusters)
    if error == 0:
        return 1.0 if gap >= 0 else float((1 - epsilon) ** n)
    return float(stdtr(n - 1, gap / error))
