"""What would flips do? DPO on people's labels, on the crowd's, and on the crowd's with a quarter flipped.

    python benchmarks/flips.py FOLDER --scale paper --json benchmarks/results/flips.json

Takes the studies of benchmarks/quickstart.py in FOLDER, flips a quarter of the labels of the crowd that they
train on, as AlpacaFarm did with its crowd, and trains DPO on that from the same supervised model. People
judge one output to each evaluation instruction against a second draw of the supervised model. Intervals over
seeds are Student's.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

from quickstart import over_seeds, said

from db.ledger import Ledger, PairFilter
from db.outputs import Source
from farm.pair import PairTask, pair
from farm.snapshot import Choice, snapshot
from farm.statistics.win_rates import win_rates
from farm.studies.quickstart import PREFERENCES, QuickstartTask, Stages, judging
from farm.studies.results import PEOPLE, SIMULATORS
from farm.studies.validation import BASELINE, SFT, method_step, oriented
from farm.studies.work import run, workers
from farm.world.people import people

FLIPS = "flips"  # the source of the pairs
NOISY = "crowd"  # of the catalogue: the crowd with flips
FLIPPED = "flipped"
METHOD = "dpo"
PRODUCERS = (SFT, *(f"{kind}/{METHOD}" for kind in (PEOPLE, SIMULATORS, FLIPPED)))


def judged_by_people(folder: Path, scale: str, seed: int) -> dict[str, float]:
    """Win rate of DPO on each kind of labels, the supervised model's first."""
    with Ledger.open(folder / "farm.db") as ledger, workers() as pool:
        stages = Stages(QuickstartTask(folder, scale, seed), ledger, pool, lambda line: None)
        study = stages.supervised()
        with judging(seed) as provider:
            stages.ask(NOISY, PairFilter(source=PREFERENCES), provider)
        snapshot(ledger, FLIPPED, Choice((NOISY,), study.pairs))
        [done] = pool.each([partial(run, method_step(study, FLIPPED, METHOD))])
        print(f"seed {seed}: {done.name} in {done.seconds:.0f} s", flush=True)
        for producer in PRODUCERS:
            pair(ledger, PairTask(FLIPS, (Source(producer),), study.evaluation, Source(BASELINE)))
        people(ledger, stages.world, PairFilter(source=FLIPS), stages.scale.jury)
        found = oriented(ledger, FLIPS)
        rates = win_rates(found[found["judge"].isin(stages.people.judges)], by="producer")
    return {name: rates[name].value for name in PRODUCERS}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", default="paper")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = [judged_by_people(given.folder / f"{given.scale}-{s}", given.scale, s) for s in given.seeds]
    over_sft = {name: over_seeds([each[name] - each[SFT] for each in found]) for name in PRODUCERS[1:]}
    for name, gain in over_sft.items():
        print(f"{name:16} over sft {said(gain, 100)}")
    if given.json:
        made = {"scale": given.scale, "seeds": given.seeds, "over_sft": over_sft, "studies": found}
        given.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
