"""Where all say the same, no interval that a command tells has the width 0."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators import catalogue
from annotators.composite import Composite
from annotators.pool import Pool
from annotators.simulator import Judge
from db.records import AnnotatorCard, AnnotatorKind
from farm.quickstart import Quickstart
from tests.support.command_line import farm, told
from tests.support.judged_models import REFERENCE, judged_row
from tests.support.known_members import composite_file
from tests.support.known_pools import Known, Said, pairs_of, write

WHO = {"ada": "human", "ben": "human", "cleo": "human", "judge": "llm"}
MODELS = ("a", "b", "c")


def bounds(told_: Any, path: str = "") -> Iterator[tuple[str, float, float]]:
    """Every interval in JSON with its path: an object with low and high, or a list `interval` of two."""
    if isinstance(told_, dict):
        if isinstance(told_.get("low"), float) and isinstance(told_.get("high"), float):
            yield path, told_["low"], told_["high"]
        for name, part in told_.items():
            if name.endswith("interval") and isinstance(part, list) and part[0] is not None:
                yield f"{path} {told_.get('model', '')} {name}", part[0], part[1]
            yield from bounds(part, f"{path}/{name}")
    elif isinstance(told_, list):
        for place, part in enumerate(told_):
            yield from bounds(part, f"{path}/{place}")


def study(folder: Path, n: int, verdicts: dict[str, int]) -> Path:
    """Everybody gives the same verdict (1, 2; 0 a tie) on every output of a model, in both orders."""
    rows: list[dict[str, Any]] = [
        judged_row(model, i, who, REFERENCE)
        | {"annotator_kind": kind, "preference": verdict, "order_swapped": swapped}
        for model, verdict in verdicts.items()
        for i in range(n)
        for who, kind in WHO.items()
        for swapped in (False, True)
    ]
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told(folder / "farm.db", "import", "preferences", folder / "x.jsonl")
    return folder / "farm.db"


@pytest.mark.parametrize(
    ("n", "verdicts"), [(1, (1, 0, 2)), (2, (1, 1, 1)), (2, (0, 0, 0)), (60, (1, 0, 2)), (60, (0, 0, 0))]
)
def test_no_interval_has_the_width_0(tmp_path: Path, n: int, verdicts: tuple[int, int, int]) -> None:
    path = study(tmp_path, n, dict(zip(MODELS, verdicts, strict=True)))
    against = ("--annotator", "judge", "--reference", REFERENCE, "--draws", 20)
    commands: dict[str, tuple[object, ...]] = {
        "audit": (
            "--traits",
            "--pairs",
            "--drift",
            "--families",
            "--family",
            "judge=kin",
            "--family",
            "a=kin",
        ),
        "leaderboard": against,
        "people": ("win-rate", "judge", "--model", "a", "--half-width", 0.2),
    }
    seen = [each for name, options in commands.items() for each in bounds(told(path, name, *options))]
    may_refuse: tuple[tuple[object, ...], ...] = (
        ("leaderboard", "--annotator", "judge", "--bradley-terry"),
        ("people", "rank", "--a", "human", "--b", "judge", "--draws", 20),
        ("people", "sensitivity", "--draws", 20),
        ("people", "replace", "--min-items", 2),
        ("robustness", "--annotator", "longest", "--against", "a", "--attack", "empty"),
    )
    for options in may_refuse:
        said = farm(path, *options, "--json")
        assert said.code in (0, 1), said.error
        seen += list(bounds(json.loads(said.out))) if said.code == 0 else []
    assert len(seen) > 30 or n == 1
    assert [each for each in seen if each[2] - each[1] < 1e-9] == []


@pytest.mark.parametrize("share", [("--share",), ()])
def test_no_drop_of_a_curve_is_certain(tmp_path: Path, share: tuple[str, ...]) -> None:
    gold = {1: 0.0, 2: 1.0, 4: 0.9}
    rows = [f"rm,{level},{i},{value}" for level, value in gold.items() for i in range(8)]
    (tmp_path / "x.csv").write_text("\n".join(["curve,level,instruction,gold", *rows]))
    found = told(tmp_path / "x.db", "over-optimisation", tmp_path / "x.csv", *share)
    seen = list(bounds(found))
    assert len(seen) == (4 if share else 0)
    assert all(high - low > 0.05 for _, low, high in seen)


def test_the_reference_against_itself_alone_is_certain(tmp_path: Path) -> None:
    """As docs/statistics.md says: its controlled rate is 50 % by definition."""
    path = study(tmp_path, 60, {"a": 1, REFERENCE: 0})
    found = told(path, "leaderboard", "--annotator", "judge", "--reference", REFERENCE, "--draws", 20)
    assert [name for name, low, high in bounds(found) if high - low < 1e-9] == [
        f"/models/1 {REFERENCE} lc_interval"
    ]


def composite(kind: str, path: Path) -> list[AnnotatorCard]:
    """Write a pool, panel or cascade of three judges. Return their cards."""
    names = ("one", "two", "three")
    if kind == "pool":
        nobody = Judge(utility=lambda instruction, input, output: 0.0)
        loaded = catalogue.load(str(Known(dict.fromkeys(names, 1), dict.fromkeys(names, nobody)).file(path)))
        assert isinstance(loaded, Pool)
        return [member.card for member in loaded.alone]
    lines = ("combine: dawid-skene",) if kind == "panel" else ()
    loaded = catalogue.load(composite_file(path, kind, names, *lines))
    assert isinstance(loaded, Composite)
    return [member.card for member in loaded.members]


@pytest.mark.parametrize("kind", ["pool", "panel", "cascade"])
def test_no_calibration_is_certain(tmp_path: Path, kind: str) -> None:
    """Members and people give the same verdict on each of 200 pairs."""
    file, pairs = tmp_path / "three.yaml", pairs_of(200)
    people = [AnnotatorCard(f"person-{k}", AnnotatorKind.HUMAN) for k in range(3)]
    verdicts = np.resize([0.0, 1.0], len(pairs))
    said: list[Said] = [(card, verdicts) for card in (*composite(kind, file), *people)]
    ledger = write(tmp_path / "farm.db", pairs, *said)
    options = ("--promise", 0.8) if kind == "cascade" else ()
    found = told(ledger, "annotators", "calibrate", file, "--out", tmp_path / "out.yaml", *options)
    seen = list(bounds(found))
    assert len(seen) == {"pool": 7, "panel": 1, "cascade": 2}[kind]
    assert [each for each in seen if each[2] - each[1] < 1e-9] == []


def test_no_interval_of_a_study_has_the_width_0(studied: Quickstart) -> None:
    """What `farm validate` and `farm quickstart` write of a whole study."""
    seen = list(bounds(json.loads((studied.ledger.parent / "study.json").read_text())))
    assert len(seen) > 30
    assert [each for each in seen if each[2] - each[1] < 1e-9] == []
