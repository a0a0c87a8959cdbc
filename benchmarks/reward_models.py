"""Compares the kinds of reward models on the same pairs: accuracy, calibration, best of n, faults found.

    python benchmarks/reward_models.py FOLDER --json benchmarks/results/reward_models.json
    python benchmarks/reward_models.py FOLDER --real DATA --json benchmarks/results/reward_models.json

In the embedded world every kind learns from the same 50, 200 or 800 pairs, each judged by one person, and is
measured on other instructions, by people's labels and by the gold utility. The epochs of each kind and size
are chosen by the log loss on people's labels in a world of their own (seed 5), which is not measured. Every
seed is a world with its own supervised model, people and pairs. Intervals are Student's 95 % over seeds, and
those of differences are of equal seeds.

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
from typing import Any, NamedTuple

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from annotators.spec import AnnotatorSpec
from benchmarks.quickstart import over_seeds
from benchmarks.reward_models_places import Place, judge_spec, real_place, said, world
from db.ids import keyed_uniform
from db.queries.training import Labelled
from db.records import Instruction
from farm.config import Combination, Decoding, ModelConfig, build
from farm.methods import load
from farm.methods.best_of_n import best_of_n_estimate
from farm.models.codec import collate
from farm.models.ensemble import Ensemble, Standard
from farm.models.log_ratio import LogRatio
from farm.models.ops import in_order, preference_loss
from farm.models.policy import Policy
from farm.models.rewards import load_margins, load_reward
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt
from farm.train import asked_pairs
from farm.training.checkpoint import MODEL, RunFolder, whole_checkpoints
from farm.training.conversions import MADE
from farm.training.data import Data, PreferencePair
from farm.training.loop import fit
from farm.training.rollout import draw
from farm.training.run_models import LoadedModels
from farm.training.score_method import calibration
from farm.world.answers import features
from farm.world.gold import gold

KINDS: dict[str, dict[str, object]] = {
    "reward_model": {},
    "reward_regression": {},
    "implicit_prm": {"beta": 0.5},
    "pair_model": {},
    "general_preference": {},
    "genrm": {},
}
SHARED: dict[str, object] = {"batch_size": 16, "learning_rate": 5e-4, "max_length": 128, "log_every": 1000}
EPOCHS = {50: (4, 16), 200: (2, 8), 800: (1, 4)}
CHOOSING, MEMBERS = 5, 4
COMBINED: tuple[tuple[str, Combination, float], ...] = (
    ("mean of four", "mean", 0.0),
    ("minimum of four", "minimum", 0.0),
    ("lower bound of four, 1", "lower_bound", 1.0),
    ("lower bound of four, 2", "lower_bound", 2.0),
)
REAL = 800  # pairs of real text to learn from
DRAWS, ASKED, OF = 64, 100, 200  # draws to so many instructions; reward models of so many pairs choose


class Learnt(NamedTuple):
    """A trained model. margins: log-odds that output_a of each pair is preferred, (n,). model: its folder."""

    margins: Callable[[Sequence[Labelled]], Tensor]
    model: str


def trained(kind: str, place: Place, size: int, options: Mapping[str, object], seed: int = 0) -> Learnt:
    """A reward model of this kind that has learnt from the first `size` pairs."""
    trainer, rows = load(kind), place.train[:size]
    config = build(trainer.Config, {**SHARED, **KINDS[kind], **options, "seed": seed})
    records: list[Any] = [
        PreferencePair(Prompt.of(row.instruction), row.output_a, row.output_b, row.label) for row in rows
    ]
    if kind == "genrm":
        spec = judge_spec(place.folder / "brief")
        records = [record for _, record in asked_pairs(rows, spec)]
    elif ("pairs", trainer.data_kind) in MADE:
        records = list(MADE["pairs", trainer.data_kind](records))
    method = trainer(config, Data(records), LoadedModels(place.model, config))
    folder = place.folder / f"{kind}-{size}-{time.monotonic_ns()}"
    fit(method, config, lambda *_: None, RunFolder(folder, config))
    if kind == "genrm":
        return Learnt(partial(verdict_margins, method, spec), "")
    model = str(whole_checkpoints(folder)[-1] / MODEL)
    return Learnt(partial(margins_of, model), model)


def margins_of(model: str, rows: Sequence[Labelled]) -> Tensor:
    """What a folder says of pairs."""
    prompts = [Prompt.of(row.instruction) for row in rows]
    margins = load_margins(model, ModelConfig())
    return margins(prompts, [row.output_a for row in rows], [row.output_b for row in rows])


@torch.no_grad()
def verdict_margins(method: Any, spec: AnnotatorSpec, rows: Sequence[Labelled]) -> Tensor:
    """What a genrm says of pairs: half the difference of its log-odds in both orders."""
    method.policy.eval()
    asked = method.rows([record for _, record in asked_pairs(rows, spec)])
    found = []
    for at in range(0, len(asked), 64):
        said = method.said(method.batch(asked[at : at + 64]))
        found.append(said.first - said.second)
    ahead, behind = torch.cat(found).view(-1, 2).unbind(-1)
    return (ahead - behind) / 2


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


def worth(asked: Instruction, output: str) -> float:
    """The gold utility of an output."""
    return gold(asked.text, asked.input, output)


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


def best_of_n(
    place: Place, epochs: Mapping[str, Mapping[str, int]], seed: int
) -> dict[str, dict[str, float]]:
    """Mean gold utility of the best of n draws of the supervised model, as each reward chooses it."""
    asked = list({row.instruction.key: row.instruction for row in place.held_out}.values())[:ASKED]
    prompts = [Prompt.of(each) for each in asked]
    policy = Policy.load(place.model)
    drawn = draw(policy, prompts, Decoding(max_new_tokens=48), seed=seed, n=DRAWS)
    shape = (len(prompts), DRAWS)
    gains = torch.tensor(
        [worth(asked[i // DRAWS], text) for i, text in enumerate(drawn.texts)], dtype=torch.float64
    ).view(shape)
    options = {"epochs": epochs["reward_model"][str(OF)]}
    members = [
        load_reward(trained("reward_model", place, OF, options, seed=seed + 100 * k).model, ModelConfig())
        for k in range(MEMBERS)
    ]
    outputs = [(Prompt.of(r.instruction), text) for r in place.held_out for text in (r.output_a, r.output_b)]
    known, texts = [prompt for prompt, _ in outputs], [text for _, text in outputs]
    standards = [Standard.of(each(known, texts)) for each in members]
    arms: dict[str, Any] = {"one reward model": members[0], "gold": None}
    for name, how, factor in COMBINED:
        arms[name] = Ensemble(members, standards, how, factor)
    found = {}
    for name, arm in arms.items():
        scores = gains if arm is None else arm(drawn.prompts, drawn.texts).double().view(shape)
        found[name] = {str(n): float(best_of_n_estimate(scores, gains, n).mean()) for n in (1, 4, 16, DRAWS)}
    return found


def localisation(place: Place, epochs: Mapping[str, Mapping[str, int]], seed: int) -> dict[str, float]:
    """How often the largest fall of a reward is at the word that was made wrong, and chance.

    A word of a right and complete answer is replaced by a word of another answer. implicit_prm: the lowest
    token reward. reward_model: the largest fall of its head from one prefix to the next.
    """
    size = max(map(int, epochs["implicit_prm"]))
    made = {
        kind: trained(kind, place, size, {"epochs": epochs[kind][str(size)]}, seed=seed).model
        for kind in ("implicit_prm", "reward_model")
    }
    policy, reference = Policy.load(made["implicit_prm"]), Policy.load(place.model)
    ratio, scorer = LogRatio(policy, reference, 1.0, "sum"), Scorer.load(made["reward_model"])
    words = sorted({word for row in place.held_out for word in row.output_a.split()})
    hits: dict[str, list[float]] = {"implicit_prm": [], "reward_model": [], "chance": []}
    for row in place.held_out:
        asked, text = row.instruction, row.output_a
        good = features(asked.text, asked.input, text)
        said_words = text.split(" ")
        if good.right < 1 or good.complete < 1 or len(said_words) < 4:
            continue
        at = int(keyed_uniform("word", row.instruction.key, text) * len(said_words))
        said_words[at] = words[int(keyed_uniform("other", row.instruction.key, text) * len(words))]
        broken = " ".join(said_words)
        if worth(asked, broken) >= worth(asked, text):
            continue
        prompt = Prompt.of(asked)
        before, after = (policy.codec.row(prompt, each) for each in (text, broken))
        wrong = [i for i, (a, b) in enumerate(zip(before.response, after.response, strict=False)) if a != b]
        if len(before.response) != len(after.response) or len(wrong) != 1:
            continue
        tokens = collate([after], policy.codec.pad_id)
        start, length = len(after.prompt), len(after.response)
        with torch.no_grad():
            rewards = ratio.token_rewards(tokens)[0, start : start + length]
            values = scorer.values(tokens)[0, start : start + length]
        hits["implicit_prm"].append(float(rewards.argmin() == wrong[0]))
        hits["reward_model"].append(float((values[1:] - values[:-1]).argmin() == wrong[0]))
        hits["chance"].append(1 / length)
    return {name: sum(each) / len(each) for name, each in hits.items()} | {"n": float(len(hits["chance"]))}


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
    tables, curves, faults = [], [], []
    for seed in seeds:
        place = world(folder, seed)
        held = len(place.held_out)
        said(f"seed {seed}: {len(place.train)} pairs to learn from, {held} held out")
        tables.append(kept(folder / f"kinds-{seed}.json", partial(compared, place, epochs, seed, True)))
        curves.append(kept(folder / f"best-{seed}.json", partial(best_of_n, place, epochs, seed)))
        faults.append(kept(folder / f"faults-{seed}.json", partial(localisation, place, epochs, seed)))
    return {
        "seeds": list(seeds),
        "epochs": epochs,
        "held_out": held,
        "kinds": over(tables),
        "over_reward_model": over(tables, "reward_model"),
        "best_of_n": over(curves),
        "best_of_n_over_one": over(curves, "one reward model"),
        "localisation": over(faults),
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
