"""What is measured of single kinds: best of n by ensembles, faults that are found, principles in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.reward_models_kinds import MEMBERS, SHARED, trained
from benchmarks.reward_models_places import Place
from db.ids import keyed_uniform
from db.records import Instruction
from farm.config import Combination, Decoding, ModelConfig
from farm.methods.best_of_n import best_of_n_estimate
from farm.methods.principle_model import PrincipleModel, PrincipleModelConfig, balanced_accuracy
from farm.models.codec import collate
from farm.models.ensemble import Ensemble, Standard
from farm.models.log_ratio import LogRatio
from farm.models.policy import Policy
from farm.models.rewards import load_reward
from farm.models.scorer import PrincipleReward, Scorer
from farm.models.tokens import Prompt
from farm.training.checkpoint import MODEL, RunFolder, whole_checkpoints
from farm.training.data import AttributedOutput, Data
from farm.training.loop import fit
from farm.training.rollout import draw
from farm.training.run_models import LoadedModels
from farm.world.answers import features
from farm.world.gold import gold
from farm.world.language import REMARKS

COMBINED: tuple[tuple[str, Combination, float], ...] = (
    ("mean of four", "mean", 0.0),
    ("minimum of four", "minimum", 0.0),
    ("lower bound of four, 1", "lower_bound", 1.0),
    ("lower bound of four, 2", "lower_bound", 2.0),
)
DRAWS, ASKED, OF = 64, 100, 200  # draws to so many instructions; reward models of so many pairs choose
LEARNT = ("right", "complete", "relevant", "follows", "well_formed", "courteous", "rude")
ERR, ANSWERS = 0.15, 2400  # share of wrong answers about principles, and how many are learnt from


def worth(asked: Instruction, output: str) -> float:
    """The gold utility of an output."""
    return gold(asked.text, asked.input, output)


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


def principles(place: Place, seed: int) -> dict[str, float]:
    """Balanced accuracy about principles: those learnt, the contrary words of them, and two others.

    A principle is the word by which the world's texts remark on a quality. The contrary words and the two
    other qualities are not learnt. Of the noisy answers 15 % are wrong; held-out answers are true.
    """
    records = []
    for row in place.train[: ANSWERS // (2 * len(LEARNT))]:
        for output in (row.output_a, row.output_b):
            ratings = {}
            for name in LEARNT:
                wrong = keyed_uniform("answer", row.instruction.key, output, name) < ERR
                ratings[REMARKS[name][0]] = float(_has(row.instruction, output, name) != wrong)
            records.append(AttributedOutput(Prompt.of(row.instruction), output, ratings))
    options: dict[str, Any] = {**SHARED, "batch_size": 32, "epochs": 2, "seed": seed}
    config = PrincipleModelConfig(**options, wording=" {principle} -")
    method = PrincipleModel(config, Data(records), LoadedModels(place.model, config))
    folder = place.folder / f"principles-{seed}"
    fit(method, config, lambda *_: None, RunFolder(folder, config))
    scorer = Scorer.load(str(whole_checkpoints(folder)[-1] / MODEL))
    asked = [(row.instruction, text) for row in place.held_out[:300] for text in (row.output_a, row.output_b)]
    prompts, texts = [Prompt.of(each) for each, _ in asked], [text for _, text in asked]
    found: dict[str, list[float]] = {"learnt": [], "contrary words": [], "other qualities": []}
    for name, (word, contrary) in REMARKS.items():
        truth = torch.tensor([float(_has(each, text, name)) for each, text in asked])
        for said, label in ((word, truth), (contrary, 1 - truth)):
            score = PrincipleReward(scorer, {said: 1.0}, config.wording)(prompts, texts)
            kind = "other qualities" if name not in LEARNT else "learnt" if said == word else "contrary words"
            found[kind].append(balanced_accuracy(score, label))
    return {kind: sum(each) / len(each) for kind, each in found.items()}


def _has(asked: Instruction, output: str, name: str) -> bool:
    return float(getattr(features(asked.text, asked.input, output), name)) >= 0.5
