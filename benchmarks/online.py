"""How long a step of online_dpo waits for a judge whose server takes its time, and what it does meanwhile.

    python benchmarks/online.py [--latency 1] [--pairs 64] [--steps 5] [--concurrency 100 8] [--json FILE]

A run of `farm train online_dpo` in the embedded world, from its base model, judged by `plain` at the
simulated provider, whose every reply takes the latency. Figures are those that the run logs: seconds of a
step by part, means over the steps after the first one. The reference rates the pairs while the judge is
asked: `waiting` is the share of a step in which neither that nor anything else is done. one_by_one is what
the requests of a step would take after one another. could_overlap is the most that could be saved by asking
about drawn pairs while others are drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from dataclasses import replace
from pathlib import Path

from annotators.simulator.server import simulator_process
from db.ledger import Ledger
from db.queries import history
from farm.judging.provider import Provider
from farm.train import TrainTask, train
from farm.world.build import SMALL, WorldSpec, build, set_name
from farm.world.judges import world_simulator_config
from farm.world.language import base_model

PARTS = ("step", "drawing", "rating", "judging", "learning")
OPTIONS = {
    "learning_rate": "1e-4",
    "epochs": "9",
    "max_length": "128",
    "max_new_tokens": "48",
    "log_every": "1",
}


def measured(folder: Path, base_url: str, *, pairs: int, steps: int, concurrency: int) -> dict[str, float]:
    """Mean seconds of a step, by part, and judgements of a step."""
    provider = Provider(base_url=base_url, concurrency=concurrency)
    out = folder / f"run-{concurrency}"
    task = TrainTask(
        str(base_model()),
        out,
        set_name=set_name("unlabelled"),
        held_out=0.0,
        annotator="plain",
        provider=provider,
    )
    flags = {**OPTIONS, "batch_size": str(pairs), "max_steps": str(steps), "seed": str(concurrency)}
    with Ledger.open(folder / "farm.db") as ledger:
        run = train(ledger, "online_dpo", task, None, flags).run
        logged = history.metrics(ledger)
    mine = logged[(logged["run"] == run) & (logged["step"] > 1)]
    means = mine.groupby("name")["value"].mean()
    bought = mine[mine["name"] == "judging/bought"]["value"]
    asked = (bought.max() - bought.min()) / (steps - 2)
    return {**{part: float(means[f"seconds/{part}"]) for part in PARTS}, "judgements": float(asked)}


def main() -> None:
    """Measure each concurrency, print and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[100, 8])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    config = replace(world_simulator_config(), latency=given.latency)
    found = []
    with tempfile.TemporaryDirectory() as place, simulator_process(config) as base_url:
        with Ledger.open(Path(place) / "farm.db", create=True) as ledger:
            build(ledger, WorldSpec(sizes=SMALL))
        for concurrency in given.concurrency:
            seconds = measured(
                Path(place), base_url, pairs=given.pairs, steps=given.steps, concurrency=concurrency
            )
            row = {"concurrency": concurrency, "latency": given.latency, "pairs": given.pairs, **seconds}
            waited = max(seconds["judging"] - seconds["rating"], 0)
            row["waiting"] = waited / seconds["step"]
            row["one_by_one"] = given.latency * seconds["judgements"]
            row["could_overlap"] = min(seconds["drawing"], waited)
            found.append(row)
            print(json.dumps({name: round(value, 3) for name, value in row.items()}))
    if given.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        given.json.write_text(json.dumps({**machine, "runs": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
