"""The whole study, small: it ends, goes on where it was, repeats itself, and never asks for the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from db.errors import ConfigError
from db.history import metrics
from db.ids import content_hash
from db.ledger import Ledger
from farm.studies import quickstart as module
from farm.studies.quickstart import Quickstart, QuickstartTask, quickstart
from farm.studies.recipe import Recipe
from farm.studies.results import StudyResults
from farm.world.build import Sizes

FARM = Path(sys.executable).parent / "farm"
RECIPES = sorted(Path(module.__file__).parent.glob("*.yaml"))
TINY = """
sampling: {temperature: 1.0, max_new_tokens: 12}
sft: {max_steps: 4, batch_size: 16, learning_rate: 1e-3, max_length: 128}
reward_model: {max_steps: 3, batch_size: 16, learning_rate: 1e-3, max_length: 128}
methods:
  best_of_n: {n: 2}
  dpo: {max_steps: 2, batch_size: 16, learning_rate: 1e-3, max_length: 128}
  feedme: {max_steps: 2, batch_size: 16, learning_rate: 1e-3, max_length: 128}
"""
SIZES = Sizes(sft=80, preference=40, unlabelled=20, validation=20, evaluation=30)


def study(folder: Path, seed: int = 0) -> tuple[Quickstart, list[str]]:
    """A quickstart of seconds."""
    (folder / "tiny.yaml").write_text(TINY)
    scale = module.Scale(SIZES, str(folder / "tiny.yaml"), curve_samples=4, curve_instructions=10)
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.SCALES, "tiny", scale)
        return quickstart(QuickstartTask(folder, "tiny", seed, processes=2), lines.append), lines


def contents(ledger: Path) -> str:
    """A hash of what was sampled, judged and logged, without the order in which it came and without paths."""
    with Ledger.open(ledger, read_only=True) as opened, opened.reading() as connection:
        from sqlalchemy import text

        judged = connection.execute(
            text(
                "SELECT p.key, a.key, n.preference, n.label, n.swapped, n.replicate, n.status"
                " FROM annotation n JOIN pair p ON p.id = n.pair_id JOIN annotator a ON a.id = n.annotator_id"
            )
        ).all()
        sampled = [key for (key,) in connection.execute(text("SELECT key FROM output"))]
    with Ledger.open(ledger, read_only=True) as opened:
        figures = [
            (name, value) for name, value in metrics(opened)[["name", "value"]].itertuples(index=False)
        ]
    timed = ("seconds", "per_second", "tokens/s", "time", "memory")
    kept = [(name, value) for name, value in figures if not any(word in name for word in timed)]
    return content_hash("contents", [sorted(map(repr, judged)), sorted(sampled), sorted(map(repr, kept))])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    return study(tmp_path_factory.mktemp("study"))[0]


def test_every_method_is_judged_in_every_world_by_everybody(done: Quickstart) -> None:
    worlds = {(each.trained_on, each.judged_by) for each in done.results.judged}
    assert worlds == {(a, b) for a in ("people", "simulators") for b in ("people", "simulators", "gold")}
    for world in worlds:
        assert set(done.results.rates(*world)) == {"sft", "best_of_n", "dpo", "feedme"}
    assert all(each.n + each.n_failed == SIZES.evaluation for each in done.results.judged)
    assert all(each.n_failed == 0 for each in done.results.judged if each.judged_by != "simulators")


def test_the_report_and_the_results_are_there(done: Quickstart) -> None:
    page = done.report.read_text()
    assert "Do simulators rank methods as people do?" in page
    assert "Over-optimisation: best-of-n" in page
    assert StudyResults.read(done.ledger.parent / "study.json") == done.results
    levels = [point.level for point in done.results.curves if point.feedback == "people"]
    assert levels == [1, 2, 4]


def test_again_it_asks_samples_and_trains_nothing_and_finds_the_same(done: Quickstart) -> None:
    with Ledger.open(done.ledger) as ledger:
        before = ledger.counts()
    again, lines = study(done.ledger.parent)
    with Ledger.open(done.ledger) as ledger:
        assert ledger.counts() == before
    assert replace(again.results, seconds=0) == replace(done.results, seconds=0)
    assert all(line.endswith(" 0 new judgements") for line in lines if "judged" in line)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_contents_and_another_seed_others(
    done: Quickstart, tmp_path_factory: pytest.TempPathFactory
) -> None:
    same = study(tmp_path_factory.mktemp("same"))[0]
    other = study(tmp_path_factory.mktemp("other"), seed=1)[0]
    assert contents(same.ledger) == contents(done.ledger)
    assert contents(other.ledger) != contents(done.ledger)


def test_the_ledger_can_be_validated_again_as_any_other(done: Quickstart, tmp_path: Path) -> None:
    """With people who cannot be asked: what they have not judged is said to await them."""
    sft = next((done.ledger.parent / "runs" / "sft").glob("step-*/model"))
    (tmp_path / "tiny.yaml").write_text(TINY)
    command = [FARM, "--ledger", done.ledger, "validate", "--model", sft, "--pairs", "preferences"]
    command += [
        "--unlabelled",
        "world-unlabelled",
        "--evaluation",
        "world-validation",
        "--simulators",
        "crowd",
    ]
    command += [
        "--evaluators",
        "longest",
        "--recipe",
        tmp_path / "tiny.yaml",
        "--out",
        tmp_path / "runs",
        "--json",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert {each["judged_by"] for each in found["judged"]} == {"simulators", "people"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_recipes_are_valid(path: Path) -> None:
    assert len(Recipe.read(path).methods) >= 6


def test_all_that_is_wrong_with_a_recipe_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(TINY.replace("feedme:", "fedme:").replace("max_steps: 3", "max_stps: 3"))
    with pytest.raises(ConfigError, match=r"(?s)max_stps.*fedme"):
        Recipe.read(path)
    path.write_text("sft: {}")
    with pytest.raises(ConfigError, match="a recipe has"):
        Recipe.read(path)


def test_an_unknown_scale_is_said() -> None:
    with pytest.raises(ConfigError, match="one of small, paper"):
        QuickstartTask(Path("x"), "huge")
