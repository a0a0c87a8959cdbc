"""Write vectors/prediction_powered.json: prediction-powered means and intervals of ppi-python.

    python tests/golden/ppi_vectors.py          needs ppi-python==0.2.3; no test needs it

Every case has human labels, the judge's on the same pairs and on more of them, and the 95 % intervals of
ppi_mean_ci (lambda estimated, 0 and 1) and of classical_mean_ci.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from ppi_py import classical_mean_ci, ppi_mean_ci, ppi_mean_pointestimate

OUT = Path(__file__).parent / "vectors" / "prediction_powered.json"
ALPHA = 0.05


def bounds(pair: tuple[Any, Any]) -> list[float]:
    return [float(np.squeeze(bound)) for bound in pair]


def case(name: str, human: np.ndarray, seen: np.ndarray, unseen: np.ndarray) -> dict[str, object]:
    found: dict[str, object] = {"name": name, "alone": bounds(classical_mean_ci(human, alpha=ALPHA))}
    for key, power in (("tuned", None), ("0", 0.0), ("1", 1.0)):
        found[key] = {
            "value": float(np.squeeze(ppi_mean_pointestimate(human, seen, unseen, lam=power))),
            "interval": bounds(ppi_mean_ci(human, seen, unseen, alpha=ALPHA, lam=power)),
        }
    return found | {"human": human.tolist(), "judge": seen.tolist(), "judge_only": unseen.tolist()}


def main() -> None:
    rng = np.random.default_rng(7)
    cases = []
    for name, n, more, follows, soft in (
        ("good judge", 40, 160, 0.85, False),
        ("soft judge", 30, 90, 0.7, True),
        ("useless judge", 25, 200, 0.5, False),
        ("contrary judge", 30, 60, 0.1, False),
        ("few unlabelled", 60, 12, 0.8, True),
    ):
        truth = rng.choice([0.0, 0.5, 1.0], n + more, p=[0.35, 0.2, 0.45])
        judge = np.where(rng.random(n + more) < follows, truth, 1 - truth)
        if soft:
            judge = np.round(0.2 + 0.6 * judge + rng.uniform(-0.1, 0.1, n + more), 3)
        cases.append(case(name, truth[:n], judge[:n], judge[n:]))
    OUT.write_text(json.dumps({"ppi-python": "0.2.3", "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
