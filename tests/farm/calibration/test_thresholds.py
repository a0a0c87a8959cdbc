"""A cascade fitted to people's votes, in a world where people and judges are known."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators import catalogue
from annotators.composite import Composite
from annotators.simulator import Judge
from db.ids import keyed_uniform
from db.records import Pair
from tests.support.command_line import farm_arguments, refused, told
from tests.support.known_members import composite_file, served
from tests.support.known_pools import Known, pairs_of, people_of, write

PAIRS = pairs_of(600)
SOFT = "annotator: logprob"


def worth(own: float) -> Any:
    """What people see, and this much that nobody else sees."""

    def utility(instruction: str, input: str, output: str) -> float:
        return 4 * (keyed_uniform("worth", output) - 0.5) + own * (keyed_uniform("own", output) - 0.5)

    return utility


JUDGES = {"cheap": Judge(utility=worth(4), noise=0.5), "strong": Judge(utility=worth(1), noise=0.3)}
PEOPLE = Known({"people": 1}, {"people": Judge(utility=worth(0), noise=0.3)})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Five people and a cascade of two judges, fitted for 0.8, and then let judge."""
    folder = tmp_path_factory.mktemp("cascade")
    ledger = write(folder / "farm.db", PAIRS, *people_of(PEOPLE.chances(PAIRS), 5, seed=3))
    cascade = composite_file(folder / "two.yaml", "cascade", list(JUDGES), asked=SOFT)
    out = folder / "fitted.yaml"
    with served(JUDGES) as simulator:
        asking = ("--base-url", simulator.base_url)
        early = refused(ledger, "annotate", cascade, *asking)
        told(ledger, "annotate", cascade, *asking, "--members")
        found = told(ledger, "annotators", "calibrate", cascade, "--promise", 0.8, "--out", out)
        judged = told(ledger, "annotate", out, *asking)
    audit = told(ledger, "audit")
    return {
        "found": found, "judged": judged, "audit": audit, "out": out, "ledger": ledger, "cascade": cascade,
        "early": early,
    }  # fmt: skip


def test_the_promise_is_kept_on_what_was_held_out_and_by_what_then_judges(study: dict[str, Any]) -> None:
    found = study["found"]
    assert found["agreement"]["low"] >= 0.8
    assert found["agreement"]["value"] > 0.8
    [cover] = study["audit"]["coverage"]
    assert (cover["promise"], cover["kept"]) == (0.8, "yes")
    assert cover["agreement"]["value"] == pytest.approx(found["agreement"]["value"], abs=0.05)
    assert cover["decided"]["value"] == pytest.approx(found["coverage"], abs=0.06)


def test_the_file_has_the_thresholds_and_asks_nobody_again(study: dict[str, Any]) -> None:
    loaded = catalogue.load(str(study["out"]))
    assert isinstance(loaded, Composite)
    assert loaded.fingerprint == study["found"]["fingerprint"] == study["judged"]["fingerprint"]
    fitted = [each for each in study["found"]["thresholds"].values() if each is not None]
    assert loaded.rule.to_json() == {"least_confidence": fitted, "promise": 0.8}
    assert study["judged"]["requests"] == 0
    assert study["judged"]["statuses"]["ok"] + study["judged"]["statuses"]["contested"] == len(PAIRS)


def test_the_halves_are_apart_and_the_unclear_left_out(study: dict[str, Any]) -> None:
    """Five people always have a majority on two sides; no question is left out."""
    questions = study["found"]["questions"]
    assert questions["unclear"] == 0
    assert questions["fitted"] + questions["held_out"] == len(PAIRS)
    kept, of = study["found"]["tested"]["kept"], study["found"]["tested"]["of"]
    assert 1 <= kept <= of


def test_an_unfitted_cascade_does_not_judge(study: dict[str, Any]) -> None:
    assert "a member that is not the last has no least_confidence" in study["early"]
    assert "farm annotators calibrate" in study["early"]


def test_what_it_says(study: dict[str, Any]) -> None:
    again = study["out"].parent / "again.yaml"
    command = farm_arguments(study["ledger"], "annotators", "calibrate", study["cascade"])
    done = subprocess.run(
        [*command, "--promise", "0.8", "--out", again], capture_output=True, text=True, check=True
    )
    said = " ".join(done.stdout.split())
    low = study["found"]["agreement"]["low"]
    assert f"with 95% certainty at least {low:.3f}" in said
    assert f"farm annotate {again}" in done.stdout.replace("\n", "")
    assert again.read_text().replace("again", "fitted") == study["out"].read_text()


def test_what_cannot_be_promised_is_refused(study: dict[str, Any], tmp_path: Path) -> None:
    """People who toss coins agree with nobody; no file is written."""
    out = tmp_path / "out.yaml"
    asked = ("annotators", "calibrate", study["cascade"], "--out", out)
    assert "a cascade is fitted for a promise" in refused(study["ledger"], *asked)
    assert "keep the promise" not in refused(
        study["ledger"], *asked, "--promise", 0.999, "--least-coverage", 1
    )
    coins = write(tmp_path / "coins.db", PAIRS, *people_of(np.full(len(PAIRS), 0.5), 3, seed=0))
    missing = refused(coins, *asked, "--promise", 0.8)
    assert "cheap, strong judged nothing that people judged" in missing
    assert "--members" in missing
    with served(JUDGES) as simulator:
        told(coins, "annotate", study["cascade"], "--base-url", simulator.base_url, "--members")
    said = refused(coins, *asked, "--promise", 0.8, "--least-coverage", 1)
    assert "nobody can promise 0.8" in said
    assert "people agree most they agree on 0." in said
    assert not out.exists()


def test_who_was_as_confident_as_a_threshold_decides_by_the_file_too(tmp_path: Path) -> None:
    """The first judge is right on each pair with a vote of 2/3, of which the file has six decimals.

    The second one is always wrong, so it is not in the file.
    """
    pairs = pairs_of(160)
    first = np.array([keyed_uniform("first", pair.key) < 0.5 for pair in pairs])
    people = people_of(first.astype(float), 3, seed=0)
    ledger = write(tmp_path / "farm.db", pairs, *people)
    tables = {"cheap": certainty(pairs, first, 2 / 3), "strong": certainty(pairs, ~first, 2 / 3)}
    judges = {name: Judge(utility="table", table=table) for name, table in tables.items()}
    cascade = composite_file(tmp_path / "two.yaml", "cascade", list(judges), asked=SOFT)
    with served(judges) as simulator:
        told(ledger, "annotate", cascade, "--base-url", simulator.base_url, "--members")
        out = tmp_path / "fitted.yaml"
        found = told(ledger, "annotators", "calibrate", cascade, "--promise", 0.8, "--out", out)
        judged = told(ledger, "annotate", out)
    assert found["thresholds"] == {"cheap": pytest.approx(2 / 3, abs=1e-6), "strong": None}
    assert judged["statuses"] == {"ok": len(pairs)}


def certainty(pairs: Sequence[Pair], first: Any, chance: float) -> dict[str, float]:
    """The utilities by which a judge prefers the right output of each pair with this chance."""
    lead = np.log(chance / (1 - chance))
    return {
        text: value
        for pair, right in zip(pairs, first, strict=True)
        for text, value in ((pair.output_a.text, lead * right), (pair.output_b.text, lead * (not right)))
    }
