"""`farm methods`: the table, one method, what a snapshot gives; the page has the same table."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from cli import app
from db.errors import ConfigError
from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from db.records import Annotation, Instruction, Output, Pair
from farm.import_ import import_files
from farm.methods import METHODS, load
from farm.objectives import heading, objective, objectives
from farm.progress import silent
from farm.snapshot import Choice, snapshot
from farm.training.method import Need
from tests.support.judged_sums import ADA, write_sums

ROOT = Path(__file__).parents[2]


def shown(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_page_has_the_table_and_each_method_a_page() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "site" / "objectives.py"))
    assert made["text"]() == made["PAGE"].read_text(), "run docs/site/objectives.py"
    for name in METHODS:
        page = (ROOT / "docs" / "methods" / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n"), name


def test_the_page_has_what_the_benchmarks_measured() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "site" / "learned.py"))
    assert made["text"]() == made["PAGE"].read_text(), "run docs/site/learned.py"


def test_the_example_of_the_howto_is_a_file_of_ours() -> None:
    page = (ROOT / "docs" / "howto" / "method.md").read_text()
    assert f"```python\n{(ROOT / 'farm' / 'methods' / 'hinge.py').read_text()}```" in page


def test_every_method_says_what_it_is_where_from_and_what_it_needs() -> None:
    for each in objectives().objectives:
        assert each.title, each.name
        assert any(year in each.paper for year in ("20", "1952")), each.name
        assert set(each.needs) <= {*get_args(Need)}
        for flag in ("reward", "token_reward", "teacher"):
            assert (f" --{flag.replace('_', '-')} DIR" in each.command) == (flag in each.needs)
    assert heading("Title: more.  Writer 2024, arXiv 1.\n\n    L = 0") == (
        "Title: more",
        "Writer 2024, arXiv 1",
    )
    assert heading("Title.\n\nWriter 2024.\n\n    L = 0") == ("Title", "Writer 2024")


@pytest.mark.parametrize("name", ["sft", "dpo", "simpo", "aot", "kto", "binary_feedme", "reward_model"])
def test_a_method_asks_for_the_models_that_it_says(name: str, model_dir: str) -> None:
    from farm.training.conversions import FROM_SNAPSHOT
    from farm.training.data import Data
    from farm.training.run_models import LoadedModels
    from tests.support.train_script import records

    asked: set[Need] = set()

    class Watched(LoadedModels):
        def reference_logps(self) -> Any:
            asked.add("reference")
            return super().reference_logps()

        def reward(self) -> Any:
            asked.add("reward")
            return super().reward()

    method = load(name)
    config = method.Config()
    assert method.data_kind in ("demonstrations", *FROM_SNAPSHOT)
    method(config, Data(records(method.data_kind, 4)), Watched(model_dir, config))
    assert asked == set(method.needs)


def test_a_snapshot_says_how_many_rows_it_gives(tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as ledger:
        with ledger.writing() as writer:
            write_sums(writer)
        snapshot(ledger, "people", Choice())
        table = objectives(ledger, "people")
    assert table.snapshot is not None
    assert (table.snapshot.pairs, table.snapshot.ties, table.snapshot.soft) == (40, 0, 0)
    assert (table.snapshot.groups, table.snapshot.cyclic, table.snapshot.partial) == (40, 0, 0)
    found = shown("--ledger", str(path), "methods", "--snapshot", "people")
    rows = {each["name"]: each["rows"] for each in found["methods"]}
    assert rows["dpo"] == 40
    assert rows["kto"] == 80
    assert rows["lipo"] == 40
    assert rows["ppo"] is None
    text = CliRunner().invoke(app, ["--ledger", str(path), "methods", "--snapshot", "people"]).stdout
    assert "snapshot people: 40 pairs" in text
    with Ledger.open(path) as ledger, pytest.raises(ConfigError, match="no snapshot 'x'"):
        objectives(ledger, "x")


def test_a_snapshot_of_single_outputs_serves_methods_of_outputs_alone(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i % 3}", "completion": f"answer {i}", "label": i % 2 == 0} for i in range(6)]
    (tmp_path / "kto.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as ledger:
        import_files(ledger, "trl-unpaired", [tmp_path / "kto.jsonl"], ReadOptions(), silent)
        snapshot(ledger, "alone", Choice(unpaired=True))
        table = objectives(ledger, "alone")
    by_name = {each.name: table.rows(each) for each in table.objectives}
    assert (by_name["kto"], by_name["dpo"], by_name["sft"], by_name["pl_dpo"]) == (6, None, None, 3)
    text = CliRunner().invoke(app, ["--ledger", str(path), "methods", "--snapshot", "alone"]).stdout
    assert "snapshot alone: 6 single outputs of 3 instructions, 0 ties, 0 soft labels." in text


def test_cycles_and_orders_in_part_are_counted(tmp_path: Path) -> None:
    """Three people's verdicts on three outputs to one question go round; on another they are a fan."""
    judged = [("q", "ab"), ("q", "bc"), ("q", "ca"), ("r", "ab"), ("r", "ac"), ("s", "ab")]
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as ledger:
        with ledger.writing() as writer:
            [ada] = writer.annotators([ADA])
            for question, texts in judged:
                made, flipped = Pair.of(*(Output(Instruction(question), text, text) for text in texts))
                [number] = writer.pairs([made])
                preference = float(not flipped)
                writer.annotations([Annotation(number, ada, preference, preference, False)])
        snapshot(ledger, "round", Choice())
        held = objectives(ledger, "round").snapshot
    assert held is not None
    assert (held.groups, held.cyclic, held.partial) == (2, 1, 1)
    text = CliRunner().invoke(app, ["--ledger", str(path), "methods", "--snapshot", "round"]).stdout
    assert "2 groups, 1 with a cycle; 1 ordered only in part and left out." in " ".join(text.split())


def test_a_method_is_shown_whole_without_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = CliRunner().invoke(app, ["methods", "simpo"]).stdout
    assert "L(θ) = −E log σ( β r(y_w) − β r(y_l) − γ )" in text
    assert "--gamma-ratio" in text
    assert "--batch-size" not in text, "the options of its own alone"
    assert "farm train simpo --model DIR --out FOLDER --snapshot NAME\n" in text
    assert shown("methods", "simpo")["needs"] == []
    assert shown("methods")["snapshot"] is None


def test_commands_and_wrong_names() -> None:
    assert objective("ppo").command.endswith("--set NAME --reward DIR")
    assert objective("kto").command.endswith("--snapshot NAME")
    with pytest.raises(ConfigError, match="no method 'dop'"):
        objective("dop")
    both = CliRunner().invoke(app, ["methods", "dpo", "--snapshot", "x"])
    assert both.exit_code == 2
