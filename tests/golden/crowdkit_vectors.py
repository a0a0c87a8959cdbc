"""Write vectors/dawid_skene.json: crowd-kit's fit of Dawid and Skene's model to random verdicts.

python tests/golden/crowdkit_vectors.py          needs crowd-kit==1.4.*; no test needs it
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from crowdkit.aggregation import DawidSkene

OUT = Path(__file__).parent / "vectors"
UNITS, ANNOTATORS, SEED = 80, 6, 20


def verdicts() -> pd.DataFrame:
    """Annotators of different accuracy, with ties and gaps; the last one judges some units twice."""
    rng = np.random.default_rng(SEED)
    truth = rng.choice(3, UNITS, p=[0.4, 0.15, 0.45])
    rows = []
    for annotator, accuracy in enumerate(np.linspace(0.55, 0.9, ANNOTATORS)):
        for unit in range(UNITS):
            for _ in range(2 if annotator == ANNOTATORS - 1 and unit % 4 == 0 else 1):
                if rng.random() < 0.8:
                    given = truth[unit] if rng.random() < accuracy else rng.integers(3)
                    rows.append((unit, annotator, int(given)))
    return pd.DataFrame(rows, columns=["task", "worker", "label"])


def main() -> None:
    given = verdicts()
    # its own rule stops where its bound first falls, by rounding, long before the fit has settled
    model = DawidSkene(n_iter=2_000, tol=-1.0).fit(given)
    errors = model.errors_.reindex(pd.MultiIndex.from_product([range(ANNOTATORS), range(3)]))
    vectors = {
        "made_by": "crowdkit_vectors.py with crowd-kit 1.4.2",
        "units": given["task"].tolist(),
        "annotators": given["worker"].tolist(),
        "category": given["label"].tolist(),
        "posterior": model.probas_.sort_index()[[0, 1, 2]].to_numpy().round(9).tolist(),
        "prior": model.priors_.sort_index().to_numpy().round(9).tolist(),
        # crowd-kit indexes by worker and label given, with a column for each true label
        "confusion": errors[[0, 1, 2]].to_numpy().reshape(ANNOTATORS, 3, 3).round(9).tolist(),
    }
    (OUT / "dawid_skene.json").write_text(json.dumps(vectors) + "\n")


if __name__ == "__main__":
    main()
