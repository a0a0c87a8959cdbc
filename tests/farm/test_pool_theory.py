"""What an audit measures of a pool on the simulated provider is what theory says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.simulator import Judge
from db.records import AnnotatorCard, AnnotatorKind
from farm.statistics.agreement import Floats
from tests.support.command_line import told
from tests.support.known_pools import Known, pairs_of, write

GOLD = AnnotatorCard("truth", AnnotatorKind.GOLD)
TIMES = 4  # judgements of each pair, as AlpacaFarm's people gave
PAIRS = pairs_of(300)


def worth(instruction: str, input: str, output: str) -> float:
    """Clear to everybody: what begins with `It` is far better."""
    return 50.0 * output.startswith("It")


CLEAR = Known({"one": 2, "two": 1}, {name: Judge(utility=worth) for name in ("one", "two")})
OWN = Known(
    {"one": 3, "two": 2, "three": 1},
    {name: Judge(utility="random", noise=0.1, seed=k) for k, name in enumerate(("one", "two", "three"))},
)


def near(found: dict[str, Any], expected: float) -> bool:
    """Within the interval, drawn out to three and a half standard errors."""
    half = max(found["high"] - found["value"], found["value"] - found["low"])
    return bool(abs(found["value"] - expected) <= 3.5 / 1.96 * half)


def variance(p: Floats) -> Floats:
    """P(one of four labels is not the mode of the other three), where each is first with chance p.

    With d = p (1 - p): a first, and at most one among three others, p (1-p)^2 (1 + 2p), and its mirror image
    are together d ((1-p) (1+2p) + p (3-2p)) = d (1 + 4d).
    """
    d = p * (1 - p)
    return d * (1 + 4 * d)


def bias(p: Floats) -> Floats:
    """P(the mode of four labels is wrong), each wrong with chance p; half of it where two are: binomial."""
    return p**4 + 4 * p**3 * (1 - p) + 3 * p**2 * (1 - p) ** 2


def audited(ledger: Path, *options: str) -> dict[str, Any]:
    report = told(ledger, "audit", "--reference", "gold", "--draws", 400, *options)
    return {each["annotator"].split("#")[0]: each for each in report["annotators"]} | {"": report}


@pytest.mark.slow
def test_flips_on_clear_pairs(tmp_path: Path) -> None:
    """Two pools flip a common truth with probability p: they agree (1 - p)^2 + p^2 of the time."""
    p = 0.25
    truth = [float(worth("", "", pair.output_a.text) > 0) for pair in PAIRS]
    ledger = write(tmp_path / "farm.db", PAIRS, (GOLD, truth))
    with CLEAR.served() as simulator:
        for seed, name in enumerate(("red", "blue")):
            pool = CLEAR.file(tmp_path / f"{name}.yaml", p, seed)
            told(ledger, "annotate", pool, "--base-url", simulator.base_url, "--replicates", TIMES)
    labels, judged = audited(ledger, "--labels"), audited(ledger)
    for name in ("red", "blue"):
        measured = labels[name]["intervals"]
        assert near(measured["agreement"], 1 - p)
        assert near(measured["variance"], float(variance(np.array(p))))
        assert near(measured["bias"], float(bias(np.array(p))))
        assert near(
            measured["brier"], p**2
        )  # the chance of the better is 1 - p, and nobody doubts which it is
        assert near(measured["position_bias"], 0.5)
        assert judged[name]["intervals"]["agreement"]["value"] == 1  # the noise is in the label alone
        assert judged[name]["intervals"]["variance"]["value"] == 0


def test_two_noisy_annotators_agree_as_theory_says(tmp_path: Path) -> None:
    p = 0.25
    pairs = pairs_of(500)
    ledger = write(tmp_path / "farm.db", pairs)
    with CLEAR.served() as simulator:
        for seed, name in enumerate(("red", "blue")):
            pool = CLEAR.file(tmp_path / f"{name}.yaml", p, seed)
            told(ledger, "annotate", pool, "--base-url", simulator.base_url)
    [both] = told(ledger, "audit", "--labels", "--draws", 0)["pairs"]
    expected = (1 - p) ** 2 + p**2
    assert both["n"] == len(pairs)
    assert abs(both["agreement"] - expected) < 3.5 * (expected * (1 - expected) / len(pairs)) ** 0.5


def flip_for(wanted: float, chances: Floats) -> float:
    """The flip rate at which a pool of these chances has this variance: by bisection."""
    low, high = 0.0, 0.5
    for _ in range(40):
        middle = (low + high) / 2
        lower = variance(middle + (1 - 2 * middle) * chances).mean() < wanted
        low, high = (middle, high) if lower else (low, middle)
    return (low + high) / 2


def test_members_of_their_own_minds_and_peoples_variance(tmp_path: Path) -> None:
    """Utilities, weights and noise are known, so every pair's chance is; and the noise that gives 34 %."""
    chances = OWN.chances(PAIRS)
    truth = (chances > 0.5).astype(float)
    ledger = write(tmp_path / "farm.db", PAIRS, (GOLD, truth))
    with OWN.served() as simulator:
        for flip in (0.0, flip_for(0.34, chances)):
            label = flip + (1 - 2 * flip) * np.maximum(chances, 1 - chances)  # of what the truth prefers
            pool = OWN.file(tmp_path / "own.yaml", flip)
            asking = ("--base-url", simulator.base_url, "--replicates", TIMES)
            asked = told(ledger, "annotate", pool, *asking)["requests"]
            assert asked == (0 if flip else TIMES * len(PAIRS))  # another noise asks nothing anew
            report = told(ledger, "audit", "--labels", "--reference", "gold", "--draws", 400)
            measured = report["annotators"][-1]["intervals"]
            assert near(measured["agreement"], label.mean())
            assert near(measured["variance"], variance(label).mean())
            assert near(measured["bias"], bias(1 - label).mean())
            assert near(measured["brier"], ((1 - label) ** 2).mean())
    assert 0.01 < flip < 0.2
    assert variance(label).mean() == pytest.approx(0.34)
    assert measured["variance"]["value"] == pytest.approx(0.34, abs=0.025)
