"""Modules that moved into rooms still import under their old names, and say the new one."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module

import pytest

from db import READERS
from farm.moved import MOVED
from tests.support.sources import ALL, at, nodes_of, require_none

OLD = {**MOVED, **{f"db.{each}": (f"db.queries.{each}",) for each in READERS}}
# What code outside the package is likely to import by an old name: the Python interface, a method of its own.
USED = {
    "farm.exchange": ("import_files", "export_file", "read_options"),
    "farm.rankings": ("rank_agreement", "sensitivity"),
    "farm.studies.quickstart": ("quickstart", "QuickstartTask"),
    "farm.methods.method": ("Prompt", "Tokens", "PairBatch", "Loss", "Models", "DataKind"),
    "farm.loop": ("fit", "autocast"),
    "farm.ops": ("masked_sum", "kl_k1", "preference_loss"),
    "farm.data": ("Data", "Demonstration", "PreferencePair", "pairs", "demonstrations"),
    "farm.rollout": ("draw", "Rollouts", "take"),
    "farm.policies": ("Policy",),
    "farm.scorers": ("Scorer", "ScorerReward"),
    "farm.reference": ("ReferenceLogps", "fingerprint"),
    "db.frames": ("judgements",),
    "db.contests": ("contests",),
    "db.exports": ("RowFilter",),
}


@pytest.mark.parametrize("old", OLD)
def test_the_old_name_holds_the_same_objects_and_names_the_new_one(old: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {OLD[old][0]}"):
        module = import_module(old)
    for name in USED.get(old, ()):
        assert any(getattr(import_module(new), name, None) is getattr(module, name) for new in OLD[old])
    sys.modules.pop(old, None)


def test_a_script_from_before_runs() -> None:
    script = "from db.frames import judgements; from farm.exchange import import_files, export_file; print(1)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_nothing_of_ours_uses_an_old_name() -> None:
    faults = [
        at(path, node, f"imports {node.module}, which is now {OLD[node.module][0]}")
        for path in ALL
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom) and node.module in OLD
    ]
    require_none(faults, "Import from the new module.")
