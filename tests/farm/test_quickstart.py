"""The whole study, small: it ends, goes on where it was, repeats itself, and never asks for the truth."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import case, func, select

from db.errors import ConfigError
from db.ids import content_hash
from db.ledger import Ledger
from db.queries.history import metrics
from db.queries.training import snapshots
from db.tables import ANNOTATION
from farm import quickstart as module
from farm.quickstart import Quickstart, QuickstartTask, Stages
from farm.studies.recipe import FOLDER, Recipe
from farm.studies.results import StudyResults
from farm.studies.validation import train_all
from farm.studies.work import workers
from farm.terminal.quickstart import quickstart_view
from farm.world import gold as truth
from tests.support.command_line import refused
from tests.support.tiny_study import METHODS, SIZES, TINY, study, tiny_scale

RECIPES = sorted(FOLDER.glob("*.yaml"))


def contents(ledger: Path) -> str:
    """A hash of what was sampled, judged and logged, without the order in which it came and without paths.

    The truth's own verdicts are functions of the outputs, which are in it. A judgement that failed is tried
    again when a study goes on: first tries alone count.
    """
    with Ledger.open(ledger, read_only=True) as opened, opened.reading() as connection:
        from sqlalchemy import text

        judged = connection.execute(
            text(
                "SELECT p.key, a.key, n.preference, n.label, n.swapped, n.replicate, n.status"
                " FROM annotation n JOIN pair p ON p.id = n.pair_id JOIN annotator a ON a.id = n.annotator_id"
                " WHERE a.name != 'world-gold' AND n.attempt = 0"
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


def test_every_method_is_judged_in_every_world_by_everybody(studied: Quickstart) -> None:
    worlds = {(each.trained_on, each.judged_by) for each in studied.results.judged}
    assert worlds == {(a, b) for a in ("people", "simulators") for b in ("people", "simulators", "gold")}
    for world in worlds:
        assert set(studied.results.rates(*world)) == METHODS
    assert all(each.n + each.n_failed == SIZES.evaluation for each in studied.results.judged)
    assert all(each.n_failed == 0 for each in studied.results.judged if each.judged_by != "simulators")


def test_the_report_and_the_results_are_there(studied: Quickstart) -> None:
    page = studied.report.read_text()
    assert "Do simulators rank methods as people do?" in page
    assert "Do simulators judge as people do?" in page
    assert "Points of win rate over the supervised model" in page
    assert "Over-optimisation: best-of-n" in page
    assert "Over-optimisation: PPO" in page
    for feedback in ("people", "simulators", "quiet"):
        points = [point for point in studied.results.curves if point.feedback == feedback]
        assert [point.level for point in points if point.curve == "best-of-n"] == [1, 2, 4]
        steps = [point for point in points if point.curve == "PPO"]
        assert {point.level for point in steps} == {0, 4} | {step for step in (1, 2, 3) if step % 4 == 0}
        assert min(steps, key=lambda point: point.level).sqrt_kl < 1e-3  # the SFT policy itself
    assert len(studied.results.turns) == 6


def test_a_scale_may_leave_out_the_ppo_of_the_quiet_judge(
    studied: Quickstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reward model is trained, and has the curve of best-of-n alone."""
    monkeypatch.setitem(module.SCALES, "tiny", replace(tiny_scale(tmp_path), quiet_ppo=False))
    copy = shutil.copy(studied.ledger, tmp_path / "farm.db")
    task = QuickstartTask(studied.ledger.parent, "tiny", processes=1)
    with Ledger.open(copy) as ledger, workers(1) as pool:
        stages = Stages(task, ledger, pool, print)
        known = stages.make_study()
        alone = replace(known, folder=tmp_path / "runs")
        train_all(ledger, alone, (), pool, print, studied={stages.quiet: False})
        curves = [each.result() for each in stages.begin_curves(known)]
    assert [path.name for path in (tmp_path / "runs" / "quiet").iterdir()] == ["reward_model"]
    drawn = {(each.curve, each.feedback) for found in curves for each in found.points}
    kinds = ("people", "simulators", "quiet")
    assert drawn == {("best-of-n", kind) for kind in kinds} | {("PPO", kind) for kind in kinds[:2]}


def test_every_figure_is_printed(studied: Quickstart) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(quickstart_view(studied))
    shown = console.export_text()
    for words in (
        "agreement with people",
        "variance",
        "bias",
        "US dollars for 1,000",
        "Spearman",
        "of the pairs",
    ):
        assert words in shown
    for method in METHODS:
        assert shown.count(f"\n{method} ") == 2  # trained on people, and on simulators
    assert "…" not in shown  # nothing is cut
    gains = {each.method: each.gain for each in studied.results.judged}
    assert {method for method, gain in gains.items() if gain is None} == {"sft"}


def test_again_it_asks_samples_and_trains_nothing_and_finds_the_same(studied: Quickstart) -> None:
    """Only questions whose judgement failed, if there are any, are asked once more."""
    with Ledger.open(studied.ledger) as ledger:
        before, failed = ledger.counts(), only_failed(ledger)
    again, lines = study(studied.ledger.parent)
    with Ledger.open(studied.ledger) as ledger:
        assert ledger.counts() == {**before, "annotation": before["annotation"] + failed}
    assert replace(again.results, seconds=0) == replace(studied.results, seconds=0)
    assert StudyResults.read(again.ledger.parent / "study.json") == again.results
    new = [int(line.split()[-3].replace(",", "")) for line in lines if "judged" in line]
    assert len(new) == 8
    assert sum(new) == failed


def only_failed(ledger: Ledger) -> int:
    """The number of questions of which all judgements failed."""
    failed = func.min(case((ANNOTATION.c.status == "failed", 1), else_=0))
    question = (ANNOTATION.c[name] for name in ("pair_id", "annotator_id", "replicate", "swapped"))
    with ledger.reading() as connection:
        return len(connection.execute(select(failed).group_by(*question).having(failed == 1)).all())


@pytest.mark.slow
def test_nobody_but_the_columns_called_gold_asks_the_truth(
    studied: Quickstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With gold made to raise in every process all is sampled, judged and trained before it fails."""
    (tmp_path / "sitecustomize.py").write_text(
        "import farm.world.gold\n"
        "def secret(*asked):\n"
        "    raise AssertionError('gold was asked')\n"
        "farm.world.gold.gold = secret\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(truth, "gold", raising)
    with pytest.raises(AssertionError, match="gold was asked"):
        study(tmp_path / "study")
    assert contents(tmp_path / "study" / "farm.db") == contents(studied.ledger)
    monkeypatch.undo()
    again, lines = study(tmp_path / "study")  # it goes on where it was
    assert replace(again.results, seconds=0) == replace(studied.results, seconds=0)
    assert all(line.endswith(" 0 new judgements") for line in lines if "judged" in line)


def raising(instruction: str, input: str, output: str) -> float:
    raise AssertionError("gold was asked")


@pytest.mark.slow
def test_killed_and_started_again_it_ends_as_if_undisturbed(studied: Quickstart, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.support.tiny_study import study\n"
        "if __name__ == '__main__':\n"
        "    study(Path(sys.argv[1]), say=lambda line: print(line, flush=True))\n"
    )
    (tmp_path / "run.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "study")]
    for fatal in (f"{module.CROWD} judged", "/ppo:"):  # while judges are asked; while methods are trained
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        ) as running:
            assert running.stdout is not None
            assert any(fatal in line for line in running.stdout)
            os.killpg(running.pid, signal.SIGKILL)
    again, _ = study(tmp_path / "study")
    assert contents(again.ledger) == contents(studied.ledger)
    assert replace(again.results, seconds=0) == replace(studied.results, seconds=0)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_contents_and_another_seed_others(
    studied: Quickstart, tmp_path_factory: pytest.TempPathFactory
) -> None:
    same = study(tmp_path_factory.mktemp("same"))[0]
    other = study(tmp_path_factory.mktemp("other"), seed=1)[0]
    assert contents(same.ledger) == contents(studied.ledger)
    assert contents(other.ledger) != contents(studied.ledger)


@pytest.mark.slow
def test_methods_learn_from_the_annotator_that_is_named(studied: Quickstart, tmp_path: Path) -> None:
    """With a quarter of the labels flipped: another world of simulators, the same one of people."""
    noisy = study(tmp_path, simulators="crowd")[0].results
    assert noisy.rates("people", "people") == studied.results.rates("people", "people")
    assert noisy.rates("simulators", "people") != studied.results.rates("simulators", "people")
    with Ledger.open(tmp_path / "farm.db") as ledger:
        [found] = [each for each in snapshots(ledger) if each.name == "simulators"]
    assert json.loads(found.choice)["annotators"] == ["crowd"]


def test_an_unknown_annotator_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="crowds"):
        study(tmp_path, simulators="crowds")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_recipes_are_valid(path: Path) -> None:
    assert len(Recipe.read(path).methods) >= 5


def test_all_that_is_wrong_with_a_recipe_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(TINY.replace("feedme:", "fedme:").replace("max_steps: 3", "max_stps: 3"))
    with pytest.raises(ConfigError, match=r"(?s)max_stps.*fedme"):
        Recipe.read(path)
    path.write_text(TINY.replace("feedme:", "pair_model:"))
    with pytest.raises(ConfigError, match="pair_model makes a reward model, and a study draws outputs"):
        Recipe.read(path)
    path.write_text("sft: {}")
    with pytest.raises(ConfigError, match="a recipe has"):
        Recipe.read(path)
    path.write_text("sft: 3\nreward_model:\nmethods: [dpo]\nsampling: {}")
    with pytest.raises(ConfigError, match="sft and methods must map names to values"):
        Recipe.read(path)


def test_the_scales_are_those_of_the_option(tmp_path: Path) -> None:
    told = refused(tmp_path / "farm.db", "quickstart", "--scale", "huge")
    assert f"one of {', '.join(module.SCALES)}" in told
