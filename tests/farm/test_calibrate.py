"""A pool fitted to people's votes: worlds in which the right weights and noise are known, over real HTTP."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators import catalogue
from annotators.pool import Pool
from annotators.simulator import Judge
from db.errors import ConfigError
from db.ids import keyed_uniform
from db.ledger import Ledger
from db.records import Annotation
from farm.annotate import annotate_members, plan_members
from farm.calibrate import CalibrateTask, calibrate
from farm.judging.provider import Provider, Task
from tests.support.command_line import farm_arguments, told
from tests.support.known_pools import Known, pairs_of, people_of, write

NAMES = ("one", "two", "three")
PAIRS = pairs_of(400)
FLIP = 0.1


def judge(seed: int) -> Judge:
    """Sees what all see, and something of its own."""

    def worth(instruction: str, input: str, output: str) -> float:
        common, own = (keyed_uniform("worth", output, who) - 0.5 for who in ("all", seed))
        return 4 * common + 6 * own

    return Judge(utility=worth, noise=0.5)


EVEN = Known(dict.fromkeys(NAMES, 1), {name: judge(k) for k, name in enumerate(NAMES)})
PEOPLE = Known({"one": 3, "two": 1}, {name: EVEN.judges[name] for name in ("one", "two")})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """People judge as members one (3) and two (1) do, a tenth of their votes flipped; the pool does not."""
    folder = tmp_path_factory.mktemp("study")
    votes = people_of(PEOPLE.chances(PAIRS, FLIP), 4, seed=5)
    ledger = write(folder / "farm.db", PAIRS, *votes)
    pool, out = EVEN.file(folder / "even.yaml", 0.25), folder / "fitted.yaml"
    with EVEN.served() as simulator:
        asking = ("--base-url", simulator.base_url)
        members = told(ledger, "annotate", pool, *asking, "--members", "--replicates", 2)["members"]
        found = told(ledger, "annotators", "calibrate", pool, "--out", out)
        told(ledger, "annotate", out, *asking, "--replicates", 4)
    audit = told(ledger, "audit", "--labels", "--draws", 400)
    return {"members": members, "found": found, "audit": audit, "out": out, "pool": pool, "ledger": ledger}


def test_members_judge_alone_and_without_noise(study: dict[str, Any]) -> None:
    assert [each["annotator"] for each in study["members"]] == [f"even/{name}" for name in NAMES]
    assert all(each["statuses"] == {"ok": 2 * len(PAIRS)} for each in study["members"])
    assert all(each["requests"] == 2 * len(PAIRS) for each in study["members"])


def test_weights_and_noise_are_found_and_written(study: dict[str, Any]) -> None:
    found = study["found"]
    weights = {each["name"]: each["after"] for each in found["members"]}
    assert weights["one"] == pytest.approx(0.75, abs=0.12)
    assert weights["two"] == pytest.approx(0.25, abs=0.12)
    assert found["flip"]["before"] == 0.25
    assert found["flip"]["after"] == pytest.approx(FLIP, abs=0.05)
    assert found["questions"]["fitted"] + found["questions"]["held_out"] == len(PAIRS)
    assert not found["judged_once"]
    pool = catalogue.load(str(study["out"]))
    assert isinstance(pool, Pool)
    assert pool.fingerprint == found["fingerprint"]
    assert {m.spec.name: m.weight for m in pool.members} == {k: v for k, v in weights.items() if v}
    assert pool.noise.flip == found["flip"]["after"]


def test_a_persons_second_judgement_is_no_second_vote(study: dict[str, Any], tmp_path: Path) -> None:
    copy = Path(shutil.copy(study["ledger"], tmp_path / "farm.db"))
    card, said = people_of(PEOPLE.chances(PAIRS, FLIP), 4, seed=5)[0]
    with Ledger.open(copy) as ledger, ledger.writing() as writer:
        [number] = writer.annotators([card])
        writer.annotations(
            Annotation(pair, number, float(p), float(p), True, replicate=again)
            for pair, p in zip(writer.pairs(PAIRS), said, strict=True)
            for again in (1, 2, 3)
        )
    found = told(copy, "annotators", "calibrate", study["pool"], "--out", tmp_path / "fitted.yaml")
    first = study["found"]
    assert (found["votes"], found["flip"], found["members"]) == (4, first["flip"], first["members"])
    for who in ("people", "before", "after"):
        for measure in ("agreement", "brier", "kl"):
            value = first["scores"][who][measure]["value"] if measure in first["scores"][who] else None
            if value is not None:
                assert found["scores"][who][measure]["value"] == pytest.approx(value, abs=1e-9)


def test_on_the_part_held_out_it_comes_near_people(study: dict[str, Any]) -> None:
    people, before, after = (study["found"]["scores"][who] for who in ("people", "before", "after"))
    fell = before["brier"]["value"] - after["brier"]["value"]
    assert study["found"]["gain"]["value"] == pytest.approx(fell)
    assert (study["found"]["gain"]["low"] > 0, study["found"]["better"]) == (True, "yes")
    assert after["brier"]["value"] == pytest.approx(people["brier"]["value"], abs=0.02)
    assert after["brier"]["value"] < before["brier"]["low"]
    assert after["kl"]["value"] < before["kl"]["value"]
    for measure in ("agreement", "variance"):
        apart = [abs(each[measure]["value"] - people[measure]["value"]) for each in (before, after)]
        assert apart[1] < 0.06 < apart[0]
    assert after["brier"]["n"] == study["found"]["questions"]["held_out"]


def test_what_was_scored_on_paper_is_what_the_pool_does(study: dict[str, Any]) -> None:
    """The written pool, asked anew, has the agreement, variance and Brier score that were foretold."""
    [asked] = [each for each in study["audit"]["annotators"] if each["annotator"] == "fitted"]
    foretold = study["found"]["scores"]["after"]
    for measure in ("agreement", "variance", "brier"):
        real = asked["intervals"][measure]
        spread = (foretold[measure]["high"] - foretold[measure]["low"]) / 2 + (real["high"] - real["low"]) / 2
        assert abs(real["value"] - foretold[measure]["value"]) < spread
    people = study["audit"]["reference"]
    assert asked["variance"] == pytest.approx(people["variance"], abs=0.05)
    assert asked["agreement"]["value"] == pytest.approx(people["agreement"]["value"], abs=0.05)


def test_it_says_what_it_did(study: dict[str, Any]) -> None:
    command = farm_arguments(study["ledger"], "annotators", "calibrate", study["pool"], "--draws", 20)
    out = study["out"].parent / "again.yaml"
    done = subprocess.run([*command, "--out", out], capture_output=True, text=True, check=True)
    assert f"farm annotate {out}" in done.stdout.replace("\n", "")
    assert "Label noise: 0.250 before" in done.stdout
    again = subprocess.run([*command, "--out", out], capture_output=True, text=True, check=False)
    assert (again.returncode, "there is a file of this name" in again.stderr) == (1, True)


def test_members_of_ones_own_are_found_from_where_the_file_stands(
    study: dict[str, Any], tmp_path: Path
) -> None:
    """A pool whose members are folders beside it keeps them when its calibrated file stands elsewhere."""
    folder = tmp_path / "mine" / "short"
    folder.mkdir(parents=True)
    for file in (catalogue.FOLDER / "single-token").iterdir():
        (folder / file.name).write_text(file.read_text())
    text = study["pool"].read_text().replace("annotator: single-token", "annotator: short")
    (tmp_path / "mine" / "even.yaml").write_text(text)
    out = tmp_path / "else.yaml"
    with Ledger.open(study["ledger"]) as ledger:
        calibrate(ledger, CalibrateTask(str(tmp_path / "mine" / "even.yaml"), out, draws=0))
    assert isinstance(catalogue.load(str(out)), Pool)


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path: Path) -> None:
    votes = people_of(np.full(len(PAIRS), 0.5), 2, seed=0)
    path = write(tmp_path / "farm.db", PAIRS, *votes)
    pool = EVEN.file(tmp_path / "even.yaml")
    task = CalibrateTask(str(pool), tmp_path / "out.yaml", draws=0)
    with Ledger.open(path) as ledger:
        with pytest.raises(ConfigError, match="3 of 3 members have judged nothing") as caught:
            calibrate(ledger, task)
        assert f"farm annotate {pool} --members --replicates 2" in caught.value.remedy
        with pytest.raises(ConfigError, match="one annotator and has no members"):
            annotate_members(ledger, "plain", Task(), lambda *_: None)
        with pytest.raises(ConfigError, match="one annotator and has no members"):
            plan_members(ledger, "plain", Task(), Provider())
        with pytest.raises(ConfigError, match="plain is no pool"):
            calibrate(ledger, CalibrateTask("plain", tmp_path / "out.yaml"))
        with pytest.raises(ConfigError, match="there is no such folder"):
            calibrate(ledger, CalibrateTask(str(pool), tmp_path / "none" / "out.yaml"))
    with pytest.raises(ConfigError, match="--held-out is 1"):
        CalibrateTask(str(pool), tmp_path / "out.yaml", held_out=1.0)
    assert not (tmp_path / "out.yaml").exists()


def test_on_postgresql_it_finds_what_it_finds_on_sqlite(postgres_url: str, tmp_path: Path) -> None:
    pairs = pairs_of(100)
    votes = people_of(PEOPLE.chances(pairs, FLIP), 3, seed=5)
    pool = str(EVEN.file(tmp_path / "even.yaml", 0.25))
    found, files = [], []
    for place, path in enumerate((str(tmp_path / "farm.db"), postgres_url)):
        write(path, pairs, *votes)
        out = tmp_path / f"{place}" / "fitted.yaml"
        out.parent.mkdir()
        with Ledger.open(path) as ledger, EVEN.served() as simulator:
            task = Task(replicates=2)
            annotate_members(ledger, pool, task, lambda *_: None, Provider(base_url=simulator.base_url))
            found.append(replace(calibrate(ledger, CalibrateTask(pool, out, draws=50)), out=Path()).to_json())
        files.append(out.read_text())
    assert found[0] == found[1]
    assert files[0] == files[1]


def test_too_few_held_out_are_refused(study: dict[str, Any], tmp_path: Path) -> None:
    task = CalibrateTask(str(study["pool"]), tmp_path / "out.yaml", held_out=0.03)
    with Ledger.open(study["ledger"]) as ledger, pytest.raises(ConfigError, match="questions are held out"):
        calibrate(ledger, task)
    assert not task.out.exists()


def test_one_budget_holds_for_all_members_and_few_questions_are_refused(tmp_path: Path) -> None:
    pairs = pairs_of(30)
    path = write(tmp_path / "farm.db", pairs, *people_of(np.full(30, 0.5), 2, seed=0))
    pool = EVEN.file(tmp_path / "even.yaml")
    with Ledger.open(path) as ledger, EVEN.served() as simulator:
        provider = Provider(base_url=simulator.base_url, max_requests=50)
        assert plan_members(ledger, str(pool), Task(), provider).requests == 90
        with pytest.raises(Exception, match="the budget is used up"):
            annotate_members(ledger, str(pool), Task(), lambda *_: None, provider)
        assert simulator.stats().hits == 50
        rest = annotate_members(
            ledger, str(pool), Task(), lambda *_: None, Provider(base_url=simulator.base_url)
        )
        assert [each.requests for each in rest] == [0, 10, 30]
        with pytest.raises(ConfigError, match="questions are judged in common"):
            calibrate(ledger, CalibrateTask(str(pool), tmp_path / "out.yaml"))
