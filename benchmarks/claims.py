"""Tests the claims of papers in the embedded world: their deciding experiments over seeds, with verdicts.

    python benchmarks/claims.py FOLDER
    python benchmarks/claims.py FOLDER --only rto polar --seeds 0 1 2 3 4
    python benchmarks/claims.py --table > docs/claims.md

The entries are in benchmarks/claims.yaml: the claim, what the world has in place of the paper's experiment,
the arms, what is measured, and what decides. Every seed is a world of its own, whose supervised model all its
arms share. Figures go to --json after each claim of each seed. A run whose figures stand there is not made
again, unless its entry has changed. FOLDER keeps the studies, and another call goes on there.

Without --only all claims are tested. benchmarks/claims_verdict.py has the rule of verdicts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.claims_page import table
from benchmarks.claims_parts import Claims, read
from benchmarks.claims_verdict import SEEDS
from benchmarks.claims_worlds import SeedWorld, said
from db.ledger import Ledger
from farm.options.quickstart import ScaleName
from farm.quickstart import QuickstartTask, judging
from farm.studies.validation import SFT
from farm.studies.work import workers

RESULTS = Path(__file__).parent / "results" / "claims.json"
Kept = dict[str, dict[str, Any]]
"""By seed and arm: the key of what was run, and its figures."""


def kept(path: Path, scale: str) -> Kept:
    """The runs of a scale that a file has; nothing where it is missing."""
    if not path.exists():
        return {}
    found: dict[str, Kept] = json.loads(path.read_text(encoding="utf-8"))
    return found.get(scale, {})


def keep(path: Path, scale: str, runs: Kept) -> None:
    """Write the runs of a scale beside those of others, whole or not at all."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    beside = path.with_name(f"{path.name}.unfinished")
    beside.write_text(json.dumps({**before, scale: runs}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(path)


def key_of(claims: Claims, arm: str) -> str:
    """What a run is known by: all that its arm is made of."""
    return SFT if arm == SFT else claims.key(arm)


def figures(claims: Claims, runs: Kept) -> dict[int, dict[str, dict[str, float]]]:
    """The figures by seed and arm, of the arms as they stand in the entries."""
    known = {arm: key_of(claims, arm) for arm in (SFT, *claims.arms)}
    return {
        int(seed): {arm: run["figures"] for arm, run in arms.items() if run["key"] == known.get(arm)}
        for seed, arms in runs.items()
    }


def tested(claims: Claims, names: Sequence[str], task: QuickstartTask, path: Path) -> None:
    """Run what is missing of the named claims in the world of one seed, and write it after each claim."""
    scale, seed = task.scale, str(task.seed)
    there = figures(claims, kept(path, scale)).get(task.seed, {})
    if all(arm in there for name in names for arm in claims.claims[name].arms):
        return
    task.out.mkdir(parents=True, exist_ok=True)
    with (
        Ledger.open(task.out / "farm.db", create=True) as ledger,
        workers(task.processes) as pool,
        judging(task.seed) as provider,
    ):
        world = SeedWorld(claims, task, ledger=ledger, pool=pool, provider=provider)
        for name in names:
            missing = [arm for arm in claims.claims[name].arms if arm not in there]
            said(f"seed {seed}, {name}: {len(missing)} arms to run")
            if not missing:
                continue
            found = world.figures(missing)
            there |= found
            runs = kept(path, scale)
            new = {arm: {"key": key_of(claims, arm), "figures": each} for arm, each in found.items()}
            keep(path, scale, {**runs, seed: {**runs.get(seed, {}), **new}})


def main() -> None:
    """Test the claims that the options name, or print the page of what stands in the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    claims = read()
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", choices=list(claims.claims), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(SEEDS)))
    parser.add_argument("--scale", choices=get_args(ScaleName), default="small")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print docs/claims.md and run nothing")
    given = parser.parse_args()
    if not given.table:
        if given.folder is None:
            parser.error("name a FOLDER for the studies, or give --table")
        for seed in given.seeds:
            folder = given.folder / f"{given.scale}-{seed}"
            task = QuickstartTask(folder, given.scale, seed, given.processes)
            tested(claims, given.only or list(claims.claims), task, given.json)
    else:
        print(table(claims, figures(claims, kept(given.json, given.scale))), end="")


if __name__ == "__main__":
    main()
