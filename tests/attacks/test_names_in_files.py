"""A callable that a file names is loaded only where the command line names it too."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from annotators.simulator import SimulatorConfig
from annotators.simulator.app import App
from db.errors import ConfigError
from tests.support.command_line import refused, told

MODULE = "a_strangers_module"
NAMED = f"{MODULE}:longer"


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the stranger's module makes when it is imported."""
    mark = tmp_path / "owned"
    (tmp_path / f"{MODULE}.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "def longer(instruction, input, output): return len(output)\n"
        "def judge(model, standing): raise OSError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return mark


def judged(folder: Path) -> Path:
    """A ledger of one pair."""
    row = {"prompt": "pass", "chosen": "ab", "rejected": "a"}
    (folder / "rows.jsonl").write_text(json.dumps(row))
    told(folder / "farm.db", "import", "trl", folder / "rows.jsonl", "--annotator", "ada", "--source", "s")
    return folder / "farm.db"


def strangers_oracle(folder: Path) -> Path:
    (folder / "evil").mkdir()
    text = f"{{name: evil, kind: rule, rule: oracle, utility: '{NAMED}'}}"
    (folder / "evil" / "annotator.yaml").write_text(text)
    return folder / "evil"


def test_an_oracle_of_a_file_asks_for_the_users_word(loaded: Path, tmp_path: Path) -> None:
    ledger, evil = judged(tmp_path), strangers_oracle(tmp_path)
    for command in (["annotators", evil], ["annotate", evil, "--dry-run"]):
        told(ledger, *command)
        assert not loaded.exists()
    for command in (["annotate", evil], ["annotate", evil, "--json"]):
        said = refused(ledger, *command)
        assert f"evil: its file names the Python callable '{NAMED}'" in said
        assert f"add --utility {NAMED})" in said
        assert not loaded.exists()
    assert told(ledger, "annotate", evil, "--utility", NAMED)["statuses"] == {"ok": 1}
    assert loaded.exists()
    attack = ["robustness", "--annotator", evil, "--attack", "empty"]
    assert f"add --utility {NAMED})" in refused(ledger, *attack)
    [attempt] = told(ledger, *attack, "--utility", NAMED)["attempts"]
    assert attempt["win_rate"]["value"] == 0


@pytest.mark.parametrize("name", ["timeit:timeit", "os:system", "antigravity", "pydoc:pipepager"])
@pytest.mark.parametrize(
    "entry",
    [
        {"casting": "NAME"},
        {"extractor": "NAME"},
        {"judge": {"utility": "NAME"}},
        {"judges": {"m": {"utility": "NAME"}}},
    ],
    ids=["casting", "extractor", "judge", "judges"],
)
def test_no_callable_of_a_simulators_file_is_imported(name: str, entry: dict[str, object]) -> None:
    data = json.loads(json.dumps(entry).replace("NAME", name))
    before = set(sys.modules)
    with pytest.raises(ConfigError, match=name):
        App(SimulatorConfig.from_mapping(data))
    assert "antigravity" not in set(sys.modules) - before


def test_a_simulators_file_asks_for_the_users_word(loaded: Path, tmp_path: Path) -> None:
    config = tmp_path / "provider.yaml"
    config.write_text(f"judge: {{utility: '{NAMED}'}}\ncasting: {MODULE}:judge\n")
    serve = ["serve-simulator", "--port", 0, "--config", config]
    assert f"(if you trust it, add --allow {NAMED})" in refused(tmp_path / "x.db", *serve)
    said = refused(tmp_path / "x.db", *serve, "--allow", NAMED)
    assert f"casting: '{MODULE}:judge' is Python code" in said
    assert not loaded.exists()
    data = {"judge": {"utility": NAMED}}
    assert App(SimulatorConfig.from_mapping(data, allowed=[NAMED])).config.judge.utility == NAMED
    assert loaded.exists()


def test_our_own_world_needs_no_word() -> None:
    assert App(SimulatorConfig.from_mapping({"casting": "farm.world.judges:cast"}))
