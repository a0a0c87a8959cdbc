"""Compares the kinds of reward models on the same pairs: accuracy, calibration, best of n, faults found.

    python benchmarks/reward_models.py FOLDER --json benchmarks/results/reward_models.json
    python benchmarks/reward_models.py FOLDER --real DATA --json benchmarks/results/reward_models.json

In the embedded world every kind learns from the same 50, 200, 800 or 2,400 pairs, each judged by one person,
and is measured on the evaluation instructions, by people's labels and by the gold utility. The epochs of each
kind and size are chosen by the log loss on people's labels in a world of their own (seed 5), which is not
measured. Every seed is a world with its own supervised model, people and pairs. Intervals are Student's 95 %
over seeds, and those of differences are of equal seeds. Beside that: outputs that are acceptable or not by
three people's votes, and a strong model that learns from a weak one's labels.

--real does the same with human judgements of real text (benchmarks/reward_model.py says which), on a model
from scratch. A seed is then another model on the same pairs. FOLDER keeps what was measured, and another call
goes on there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.quickstart import over_seeds
from benchmarks.reward_models_kinds import KINDS, MEMBERS, SHARED, trained
from benchmarks.reward_models_parts import best_of_n, localisation, principles, worth
from benchmarks.reward_models_places import Place, real_place, said, world
from benchmarks.reward_models_votes import chosen_vote_epochs, votes
from benchmarks.reward_models_weak import over_plain, recovered, weak_to_strong
from db.queries.training import Labelled
from farm.models.ops import in_order, preference_loss
from farm.training.score_method import calibration

EPOCHS = {50: (4, 16), 200: (2, 8), 800: (1, 4), 2400: (1, 2)}
CHOOSING = 5
REAL = 800  # pairs of real text to learn from


def measured(margins: Tensor, rows: Sequence[Labelled], truth: Tensor | None) -> dict[str, float]:
    """Accuracy, calibration error and log loss on people's labels, and accuracy by the truth if it is known.

    truth: the gold utility of output_a less that of output_b; pairs of equal utility are left out.
    """
    labels = torch.tensor([row.label for row in rows], dtype=torch.float64)
    found = calibration(margins, labels)
    loss = float(preference_loss(margins.double(), labels).mean())
    figures = {"accuracy": found.accuracy, "ece": found.ece, "log_loss": loss}
    if truth is not None:
        told = truth != 0
        figures["gold_accuracy"] = float(in_order(margins[told], (truth[told] > 0).double()).mean())
    return figures


def truth_of(rows: Sequence[Labelled]) -> Tensor:
    """Gold utility of output_a less that of output_b."""
    return torch.tensor([worth(r.instruction, r.output_a) - worth(r.instruction, r.output_b) for r in rows])


def chosen_epochs(place: Place, kinds: Sequence[str], sizes: Sequence[int]) -> dict[str, dict[str, int]]:
    """The epochs of each kind and size with the lowest log loss on people's labels."""
    found: dict[str, dict[str, int]] = {}
    for kind in kinds:
        for size in sizes:
            losses = {}
            for epochs in EPOCHS[size]:
                margins = trained(kind, place, size, {"epochs": epochs}).margins(place.held_out)
                losses[epochs] = measured(margins, place.held_out, None)["log_loss"]
            found.setdefault(kind, {})[str(size)] = min(losses, key=lambda epochs: losses[epochs])
            said(f"chosen: {kind} {size} {losses}")
    return found


def compared(place: Place, epochs: Mapping[str, Mapping[str, int]], seed: int, known: bool) -> dict[str, Any]:
    """Figures of every kind and size, and of the mean of an ensemble of reward models, in one place.

    known: whether the gold utility of the outputs is known.
    """
    truth = truth_of(place.held_out) if known else None
    found: dict[str, Any] = {}
    for kind, of_size in epochs.items():
        for size, count in of_size.items():
            began, options = time.perf_counter(), {"epochs": count}
            first = trained(kind, place, int(size), options, seed=seed).margins(place.held_out)
            found.setdefault(kind, {})[size] = measured(first, place.held_out, truth)
            said(f"{kind} {size}: {found[kind][size]} in {time.perf_counter() - began:.0f} s")
            if kind != "reward_model":
                continue
            others = [
                trained(kind, place, int(size), options, seed=seed + 100 * k) for k in range(1, MEMBERS)
            ]
            together = torch.stack([first, *(each.margins(place.held_out) for each in others)]).mean(0)
            found.setdefault("ensemble", {})[size] = measured(together, place.held_out, truth)
    return found


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """What was measured before, else now."""
    if not file.exists():
        made = make()
        file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def over(found: Sequence[Mapping[str, Any]], base: str | None = None) -> Any:
    """The figures of each seed with mean and interval. base: less those of this kind."""
    if not isinstance(found[0], Mapping):
        return over_seeds([float(each) for each in found])
    if base is not None:
        return {
            kind: over([minus(each[kind], each[base]) for each in found]) for kind in found[0] if kind != base
        }
    return {key: over([each[key] for each in found]) for key in found[0]}


def minus(one: Any, other: Any) -> Any:
    """The differences of figures of the same names."""
    if isinstance(one, Mapping):
        return {key: minus(value, other[key]) for key, value in one.items() if key in other}
    return one - other


def in_the_world(folder: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """All that is measured in the embedded world."""
    epochs = kept(
        folder / "epochs.json", lambda: chosen_epochs(world(folder, CHOOSING), list(KINDS), list(EPOCHS))
    )
    vote_epochs = kept(
        folder / "vote-epochs.json", lambda: chosen_vote_epochs(world(folder, CHOOSING), CHOOSING)
    )
    tables, curves, faults, words, ballots, weak = [], [], [], [], [], []
    for seed in seeds:
        place = world(folder, seed)
        held = len(place.held_out)
        said(f"seed {seed}: {len(place.train)} pairs to learn from, {held} held out")
        tables.append(kept(folder / f"kinds-{seed}.json", partial(compared, place, epochs, seed, True)))
        curves.append(kept(folder / f"best-{seed}.json", partial(best_of_n, place, epochs, seed)))
        faults.append(kept(folder / f"faults-{seed}.json", partial(localisation, place, epochs, seed)))
        words.append(kept(folder / f"principles-{seed}.json", partial(principles, place, seed)))
        ballots.append(kept(folder / f"votes-{seed}.json", partial(votes, place, vote_epochs, seed)))
        weak.append(kept(folder / f"weak-{seed}.json", partial(weak_to_strong, place, seed)))
    return {
        "seeds": list(seeds),
        "epochs": epochs,
        "held_out": held,
        "kinds": over(tables),
        "over_reward_model": over(tables, "reward_model"),
        "best_of_n": over(curves),
        "best_of_n_over_one": over(curves, "one reward model"),
        "localisation": over(faults),
        "principles": over(words),
        "vote_epochs": vote_epochs,
        "votes": over(ballots),
        "votes_over_soft_labels": over(ballots, "soft labels"),
        "weak_to_strong": over(weak),
        "weak_to_strong_over_plain": over([over_plain(each) for each in weak]),
        "recovered": recovered(weak),
    }


def on_real_people(folder: Path, data: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """The kinds on human judgements of real text."""
    epochs = {kind: {str(REAL): 2} for kind in KINDS if kind != "genrm"}
    tables = []
    for seed in seeds:
        place = real_place(folder, data, seed)
        said(f"real {seed}: {len(place.train)} pairs, {len(place.held_out)} held out")
        tables.append(kept(folder / f"real-{seed}.json", partial(compared, place, epochs, seed, False)))
    return {
        "seeds": list(seeds),
        "pairs": REAL,
        "held_out": len(place.held_out),
        "kinds": over(tables),
        "over_reward_model": over(tables, "reward_model"),
    }


def main() -> None:
    """Measure what the options name, and write the figures beside those that the file has."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--real", type=Path, help="folder of real preference data: measure on it instead")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if given.real:
        SHARED.update(max_length=640, token_budget=16384, overlong="drop", template="plain")
        made = {"real": on_real_people(given.folder, given.real, given.seeds)}
    else:
        made = {"world": in_the_world(given.folder, given.seeds)}
    said(json.dumps(made, indent=1))
    if given.json:
        before = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else {}
        options = {"shared": SHARED, "own": KINDS, "members": MEMBERS}
        given.json.write_text(
            json.dumps({**before, "options": options, **made}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
