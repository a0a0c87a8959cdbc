"""Runs the quickstart with several seeds and gives every figure with its mean and interval over seeds.

    python benchmarks/quickstart.py FOLDER --scale small --json benchmarks/results/quickstart_small.json

Each seed has its own world: instructions, people, judges, models. Intervals are Student's 95 % intervals over
seeds. FOLDER keeps a study for each seed, and another call goes on there. The result has the peak memory that
the processes of a study held together, of the studies that this call made. It is the proportional set size,
measured every two seconds (Linux only).
"""

from __future__ import annotations

import argparse
import json
import platform
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import psutil
from scipy.stats import t as student

from farm.options.quickstart import ScaleName
from farm.quickstart import CROWD, QuickstartTask, quickstart
from farm.statistics.ranking import rank_correlation
from farm.studies.results import PEOPLE, SIMULATORS, Annotators, StudyResults

WORLDS = ((PEOPLE, PEOPLE), (SIMULATORS, SIMULATORS))
JUDGES = ((PEOPLE, PEOPLE), (PEOPLE, SIMULATORS))  # both kinds of judges on the same models


def over_seeds(values: Sequence[float]) -> dict[str, float]:
    """Mean and Student's 95 % interval, which says nothing where n is 1."""
    mean, n = float(np.mean(values)), len(values)
    reach = float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5) if n > 1 else 0.0
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "n": n}


def summary(found: Sequence[StudyResults]) -> dict[str, object]:
    """Each figure of the studies, with mean and interval over seeds."""
    ranked = [each.ranking for each in found if each.ranking is not None]
    beside = [each.annotators for each in found if each.annotators is not None]
    methods = sorted({each.method for results in found for each in results.judged})
    return {
        "spearman": over_seeds([each.spearman.value for each in ranked]),
        "spearman_without": {name: over_seeds([alike(e, WORLDS, name) for e in found]) for name in methods},
        "spearman_of_judges": over_seeds([alike(each, JUDGES) for each in found]),
        "kendall": over_seeds([each.kendall for each in ranked]),
        "resolved_by_people": over_seeds([each.resolved_by_people for each in ranked]),
        "resolved_by_simulators": over_seeds([each.resolved_by_simulators for each in ranked]),
        "annotators": annotators(beside),
        "win_rates": by_world(found, gains=False),
        "gains": by_world(found, gains=True),
        "turns": turns(found),
    }


def annotators(found: Sequence[Annotators]) -> dict[str, object]:
    """The comparison of simulators with people, over seeds."""
    return {
        "people": over_seeds([each.people.value for each in found]),
        "simulators": over_seeds([each.simulators.value for each in found]),
        "simulators_less_people": over_seeds([each.simulators.value - each.people.value for each in found]),
        "simulators_variance": over_seeds([each.simulators_variance.value for each in found]),
        "simulators_bias": over_seeds([each.simulators_bias.value for each in found]),
        "price_per_1000": over_seeds([each.price_per_1000 or 0.0 for each in found]),
    }


def alike(results: StudyResults, worlds: Sequence[tuple[str, str]], without: str = "") -> float:
    """Spearman's correlation of the methods' win rates in two worlds.

    worlds: two of (trained on, judged by). without: a method that is left out.
    """
    one, other = (
        pd.Series(
            {
                each.method: each.win_rate.value
                for each in results.judged
                if (each.trained_on, each.judged_by) == world and each.method != without
            }
        )
        for world in worlds
    )
    return rank_correlation(one, other, draws=10).value


def by_world(found: Sequence[StudyResults], gains: bool) -> dict[str, dict[str, object]]:
    """By (trained on, judged by) and method: the win rate, or with `gains` the gain over the SFT model."""
    values: dict[str, dict[str, list[float]]] = {}
    for results in found:
        for each in results.judged:
            rate = each.gain if gains else each.win_rate
            if rate is not None:
                world = values.setdefault(f"on {each.trained_on}, by {each.judged_by}", {})
                world.setdefault(each.method, []).append(rate.value)
    return {
        world: {name: over_seeds(rates) for name, rates in methods.items()}
        for world, methods in values.items()
    }


def turns(found: Sequence[StudyResults]) -> dict[str, object]:
    """By curve and reward model: the drop of gold after the peak, and the number of seeds that turn down."""
    values: dict[str, list[tuple[float, bool]]] = {}
    for results in found:
        for each in results.turns:
            values.setdefault(f"{each.curve} under {each.feedback}", []).append(
                (each.drop.value, each.turned)
            )
    return {
        name: {"drop": over_seeds([drop for drop, _ in those]), "turned": sum(turned for _, turned in those)}
        for name, those in values.items()
    }


def shown(summed: dict[str, Any], scale: str) -> str:
    """The main figures as text."""
    lines = [f"{scale}: Spearman {said(summed['spearman'])}, Kendall {said(summed['kendall'])}"]
    lines += [f"  without {name:20} {said(rate)}" for name, rate in summed["spearman_without"].items()]
    lines.append(f"  by judges of the same models {said(summed['spearman_of_judges'])}")
    for world in (f"on {kind}, by {kind}" for kind in (PEOPLE, SIMULATORS)):
        lines.append(f"win rates over the supervised model's, {world}")
        lines += [f"  {name:22} {said(rate, 100)}" for name, rate in summed["gains"][world].items()]
    lines += [f"{name}: {each['turned']} turned" for name, each in summed["turns"].items()]
    return "\n".join(lines)


def said(rate: dict[str, float], times: float = 1) -> str:
    """A mean with its interval as text. One value has none. times: 100 for percent."""
    digits = 1 if times == 100 else 2
    if rate["n"] == 1:
        return f"{times * rate['mean']:.{digits}f}"
    low, value, high = (f"{times * rate[name]:.{digits}f}" for name in ("low", "mean", "high"))
    return f"{value} [{low}, {high}]"


class Memory:
    """The peak memory that this process and its descendants held together, in MiB."""

    def __init__(self) -> None:
        self.peak = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure every two seconds during the block."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(self, over: threading.Event) -> None:
        me = psutil.Process()
        while not over.wait(2):
            held = 0
            for process in (me, *me.children(recursive=True)):
                with suppress(psutil.Error):  # it ended meanwhile
                    held += process.memory_full_info().pss
            self.peak = max(self.peak, held / 2**20)


def main() -> None:
    """Make the studies of the seeds that the options name, and print and write their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", choices=get_args(ScaleName), default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--processes", type=int)
    parser.add_argument("--simulators", default=CROWD)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found, memory = [], Memory()
    for seed in given.seeds:
        folder = given.folder / f"{given.scale}-{seed}"
        finished = folder / "study.json"
        if not finished.exists():
            task = QuickstartTask(folder, given.scale, seed, given.processes, given.simulators)
            with memory.watched():
                quickstart(task, lambda line: print(line, flush=True))
        found.append(StudyResults.read(finished))
    summed = summary(found)
    print(shown(summed, given.scale))
    if given.json:
        seeds = " ".join(map(str, given.seeds))
        command = f"python benchmarks/quickstart.py FOLDER --scale {given.scale} --seeds {seeds}"
        command += f" --simulators {given.simulators}" if given.simulators != CROWD else ""
        studies = [{**asdict(each), "curves": None, "seconds": None} for each in found]
        made: dict[str, object] = {
            "command": command,
            "python": platform.python_version(),
            "peak_memory_mib": memory.peak or None,
        }
        made |= {**summed, "studies": studies}
        given.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
