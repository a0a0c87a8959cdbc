"""Rules in Python as rewards, and judges as constraints, by the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from cli import app
from db.errors import FarmError
from db.ledger import Ledger
from db.queries import history
from db.records import Instruction, Membership
from db.tables import RUN
from farm.models.hub import ModelError
from farm.models.scorer import Scorer
from farm.training.checkpoint import CheckpointError

RULES = """
def letters(instruction, input, output):
    return float(sum(c.islower() for c in output))

def short(instruction, input, output):
    return len(output) <= 6

def asked(instruction, input, output):
    return instruction != "Add 0 and 2."

def pair(instruction, input, one, other):
    return 0.5

def broken(instruction, input, output):
    return None
"""
QUICK = ["--max_steps", "1", "--batch_size", "4", "--log_every", "1", "--max_new_tokens", "8"]


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of rules, importable as `house_rules`."""
    file = tmp_path / "house_rules.py"
    file.write_text(RULES)
    monkeypatch.syspath_prepend(tmp_path)
    yield file
    sys.modules.pop("house_rules", None)


@pytest.fixture
def scorer(model_dir: str, tmp_path: Path) -> str:
    Scorer.load(model_dir, new_head=True, seed=2).save(tmp_path / "scorer")
    return str(tmp_path / "scorer")


def told(ledger: Path, model: str, method: str, *flags: str, out: str = "run") -> Any:
    command = ["--ledger", str(ledger), "train", method, "--model", model, "--set", "sums"]
    command += ["--out", str(ledger.parent / out), "--held-out", "0", *QUICK, *flags, "--json"]
    return CliRunner().invoke(app, command)


def metrics(shown: Any) -> dict[str, float]:
    assert shown.exit_code == 0, shown.output
    found: dict[str, float] = json.loads(shown.stdout)["metrics"]
    return found


def test_a_rule_is_a_reward_and_a_constraint(judged: Path, model_dir: str, rules: Path, scorer: str) -> None:
    """Nothing has a score of a million. Of a set without the prompts that are learnt from all pass."""
    reward = ["--reward", "house_rules:letters"]
    plain = metrics(told(judged, model_dir, "rloo", *reward, out="plain"))
    open_ = metrics(told(judged, model_dir, "crpg", *reward, out="open"))
    assert plain["objective/scores"] == open_["objective/scores"], "both draw the same from one model"
    assert 0 < plain["objective/scores"] < 8
    assert open_["constraints/passed"] == 1
    some = metrics(told(judged, model_dir, "crpg", *reward, "--constraint", "house_rules:short"))
    assert 0 < some["constraints/passed"] < 1
    both = ["--constraint", "house_rules:letters >= 0", "--constraint", f"{scorer} >= 1e6"]
    assert metrics(told(judged, model_dir, "codpo", *reward, *both, out="both"))["constraints/passed"] == 0
    with Ledger.open(judged) as ledger, ledger.writing() as writer:
        writer.memberships([Membership(Instruction("Something else."), "others")])
    for of, passed in (("others", 1.0), ("sums", 0.0)):
        one = ["--constraint", f"{of}={scorer} >= 1e6"]
        assert (
            metrics(told(judged, model_dir, "crraft", *reward, *one, out=of))["constraints/passed"] == passed
        )
    with Ledger.open(judged) as ledger:
        rows = [json.loads(each.run.config) for each in history.runs(ledger)]
    assert [f"others={scorer} >= 1e6"] in [each.get("constraints") for each in rows]
    assert "constraints" not in rows[0]
    assert {each["reward"] for each in rows} == {"house_rules:letters"}
    assert not any({"reference", "teacher", "token_reward"} & each.keys() for each in rows)


def test_a_run_does_not_go_on_with_other_judges_or_other_code(
    judged: Path, model_dir: str, rules: Path
) -> None:
    flags = ["--reward", "house_rules:letters", "--constraint", "house_rules:short"]
    metrics(told(judged, model_dir, "crpg", *flags))
    metrics(told(judged, model_dir, "crpg", *flags))
    other = told(judged, model_dir, "crpg", *flags[:2], "--constraint", "house_rules:asked")
    assert isinstance(other.exception, CheckpointError)
    rules.write_text(RULES + "\n# changed\n")
    assert isinstance(told(judged, model_dir, "crpg", *flags).exception, CheckpointError)


@pytest.mark.parametrize(
    ("method", "flags", "why"),
    [
        ("rloo", ["--constraint", "house_rules:short"], "rloo heeds no constraint"),
        ("crpg", ["--constraint", "house_rules:none"], "house_rules:none cannot be loaded"),
        ("crpg", ["--constraint", "house_rules:pair"], "house_rules:pair compares two outputs"),
        ("crpg", ["--constraint", "house_rules:short >= much"], "'much' is no number"),
        ("crpg", ["--constraint", "house_rules:short >= nan"], "'nan' is no number"),
        ("crpg", ["--constraint", "SCORER"], "has no bound"),
        ("crpg", ["--constraint", ""], "'' names no judge"),
        ("crpg", ["--constraint", "nowhere=house_rules:short"], "the set 'nowhere' is empty"),
        ("crpg", ["--constraint", "house_rules:broken"], "house_rules:broken failed: TypeError"),
        ("crpg", ["--reward", "house_rules:broken"], "house_rules:broken failed: TypeError"),
        ("crpg", ["--reward", "no_such_module:x"], "no_such_module:x cannot be loaded"),
    ],
)
def test_what_cannot_judge_is_one_line(
    judged: Path, model_dir: str, rules: Path, scorer: str, method: str, flags: list[str], why: str
) -> None:
    given = [scorer if each == "SCORER" else each for each in flags]
    given += [] if "--reward" in given else ["--reward", "house_rules:letters"]
    shown = told(judged, model_dir, method, *given)
    assert isinstance(shown.exception, FarmError)
    assert why in str(shown.exception)
    assert "\n" not in str(shown.exception)
    with Ledger.open(judged) as ledger, ledger.reading() as connection:
        assert connection.execute(select(RUN)).all() == [] or "broken" in why


def test_a_folder_cannot_name_code(judged: Path, model_dir: str, rules: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weighted"
    folder.mkdir()
    said = {"kind": "weighted", "rewards": [{"reward": "house_rules:letters", "weight": 1.0}]}
    (folder / "reward.json").write_text(json.dumps(said))
    assert isinstance(told(judged, model_dir, "crpg", "--reward", str(folder)).exception, ModelError)
    assert "house_rules" not in sys.modules
