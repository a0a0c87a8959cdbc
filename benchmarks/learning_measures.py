"""What learning.py measures of a trained model: neither side's code. Needs torch and transformers alone.

Held-out losses are in nats. Draws are two responses to each held-out prompt. KL and entropy are exact over
the vocabulary at every state of the draws: KL is a sum over a response's states, entropy a mean over states.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from benchmarks.learning_tasks import Task, read, task_of

Figures = dict[str, float]
OTHERS = ("sft", "reward_model", "rloo", "grpo", "dr_grpo", "gspo", "cispo", "ppo")
"""Methods that do not learn from pairs, nor from the outputs of pairs one by one."""
DRAW_SEEDS = (101, 102)  # each gives one response to a held-out prompt; on the way the first one alone
BETA = 0.1  # of the implicit reward, and the weight of the target gap of ipo
KL_PENALTY = 0.05  # of the reward that the value model predicts, per nat


def batch(
    task: Task, prompts: Sequence[str], responses: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, attention and the mask of response tokens: (B, T) each, padded at the right."""
    reader = task.tokenizer()
    asked = reader(list(prompts))["input_ids"]
    rows = [[*before, *after] for before, after in zip(asked, responses, strict=True)]
    width = max(map(len, rows))
    ids = torch.tensor([row + [reader.pad_token_id] * (width - len(row)) for row in rows])
    places = torch.arange(width)
    starts, ends = torch.tensor([[len(a)] for a in asked]), torch.tensor([[len(row)] for row in rows])
    return ids, (places < ends).long(), (places >= starts) & (places < ends)


def ended(task: Task, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of texts, each with its end."""
    reader = task.tokenizer()
    return [[*ids, reader.eos_token_id] for ids in reader(list(texts))["input_ids"]]


@torch.no_grad()
def log_softmax(model: Any, ids: Tensor, attention: Tensor) -> Tensor:
    """Log-probabilities of the token after each token but the last: (B, T - 1, V)."""
    logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits[:, :-1]
    return cast(Tensor, logits.log_softmax(-1))


def response_logps(
    model: Any, task: Task, prompts: Sequence[str], texts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Log-probability of each response with its end, and its number of tokens: (B,) each."""
    ids, attention, mask = batch(task, prompts, ended(task, texts))
    logps = log_softmax(model, ids, attention).gather(-1, ids[:, 1:, None])[..., 0]
    return (logps * mask[:, 1:]).sum(-1), mask.sum(-1)


def of_sft(model: Any, task: Path) -> Figures:
    """nll: nats for a token of the held-out responses."""
    rows = read(task, "demonstrations_held_out")
    prompts, texts = [row["prompt"] for row in rows], [row["response"] for row in rows]
    logps, count = response_logps(model, task_of(task), prompts, texts)
    return {"nll": float(-logps.sum() / count.sum())}


def of_reward_model(model: Any, task: Path) -> Figures:
    """accuracy: share of held-out pairs whose better response scores higher. loss: on the noisy labels."""
    better, worse = (scores(model, task, side) for side in ("better", "worse"))
    flipped = torch.tensor([bool(row["flipped"]) for row in read(task, "pairs_held_out")])
    gap = torch.where(flipped, worse - better, better - worse)
    return {"accuracy": float((better > worse).double().mean()), "loss": float(-logsigmoid(gap).mean())}


@torch.no_grad()
def scores(model: Any, task: Path, side: str) -> Tensor:
    """Score of each held-out response of a side, read at its end: (B,)."""
    rows, known = read(task, "pairs_held_out"), task_of(task)
    texts = ended(known, [row[side] for row in rows])
    ids, attention, _ = batch(known, [row["prompt"] for row in rows], texts)
    values = model.score(model.base_model(input_ids=ids, attention_mask=attention).last_hidden_state)[..., 0]
    return cast(Tensor, values.gather(1, attention.sum(-1, keepdim=True) - 1)[:, 0])


def of_pairs(model: Any, base: Any, task: Path, method: str) -> Figures:
    """Accuracy and margin of the implicit reward on held-out pairs, by their clean labels, and the loss.

    The loss is on labels such as the method learnt from. The implicit reward is BETA times the log-ratio of a
    response. ipo: the log-ratio by token, and the squared loss.
    """
    rows, known_task = read(task, "pairs_held_out"), task_of(task)
    implicit = []
    for side in ("better", "worse"):
        prompts, texts = [row["prompt"] for row in rows], [row[side] for row in rows]
        found = (response_logps(each, known_task, prompts, texts) for each in (model, base))
        (logps, count), (known, _) = found
        implicit.append((logps - known) / count if method == "ipo" else BETA * (logps - known))
    gap = implicit[0] - implicit[1]
    noisy = known_task.learns_from_noise(method)
    flipped = torch.tensor([noisy and bool(row["flipped"]) for row in rows])
    learnt = torch.where(flipped, -gap, gap)
    loss = (learnt - 1 / (2 * BETA)).square() if method == "ipo" else -logsigmoid(learnt)
    return {
        "accuracy": float((gap > 0).double().mean()),
        "margin": float(gap.mean()),
        "loss": float(loss.mean()),
    }


def of_draws(
    model: Any,
    base: Any,
    task: Path,
    value: Any = None,
    seeds: Sequence[int] = DRAW_SEEDS,
) -> Figures:
    """True reward, exact KL from the base model, entropy, length in tokens and share of ended responses.

    value: adds explained_variance, of the returns of the drawn tokens by the values of their states.
    """
    known_task, asked = task_of(task), [row["prompt"] for row in read(task, "prompts_held_out")]
    rows = [row for seed in seeds for row in known_task.drawn(model, asked, seed)]
    ids, attention, mask = batch(known_task, asked * len(seeds), rows)
    states = mask[:, 1:]
    ours, known = (log_softmax(which, ids, attention) for which in (model, base))
    said = zip(asked * len(seeds), map(known_task.said, rows), strict=True)
    rewards = torch.tensor([known_task.reward(prompt, text) for prompt, text in said])
    probabilities = ours.exp()
    kl = (probabilities * (ours - known)).sum(-1) * states
    entropy = -(probabilities * ours).sum(-1)
    found = {
        "reward": float(rewards.mean()),
        "kl": float(kl.sum(-1).mean()),
        "entropy": float(entropy[states].mean()),
        "length": float(mask.sum(-1).double().mean()),
        "ended": sum(row[-1] == known_task.tokenizer().eos_token_id for row in rows) / len(rows),
    }
    if value is not None:
        ratios = (ours - known).gather(-1, ids[:, 1:, None])[..., 0] * states
        returns = rewards[:, None] - KL_PENALTY * ratios.flip(-1).cumsum(-1).flip(-1)
        with torch.no_grad():
            hidden = value.base_model(input_ids=ids, attention_mask=attention).last_hidden_state
            values = value.score(hidden)[:, :-1, 0]
        wrong = (returns - values)[states].var()
        found["explained_variance"] = float(1 - wrong / returns[states].var())
    return found


def measured(method: str, trained: Path, task: Path, last: bool = True) -> Figures:
    """The figures of a trained model of a method. A value model lies in the folder `value` beside it.

    last: whether it is the model of the run's end. Before, one response is drawn to a prompt, and none for
    sft, dpo and ipo.
    """
    if method == "reward_model":
        return of_reward_model(loaded(AutoModelForSequenceClassification, trained), task)
    model, base = (loaded(AutoModelForCausalLM, folder) for folder in (trained, task / "base"))
    found = of_sft(model, task) if method == "sft" else {}
    if method not in OTHERS:
        found = of_pairs(model, base, task, method)
    if not last and method in ("sft", "dpo", "ipo"):
        return found
    value = trained / "value"
    critic = loaded(AutoModelForSequenceClassification, value) if value.exists() else None
    return found | of_draws(model, base, task, critic, DRAW_SEEDS if last else DRAW_SEEDS[:1])


def loaded(kind: Any, folder: Path) -> Any:
    """A frozen model of transformers, in float32."""
    return kind.from_pretrained(folder, dtype=torch.float32).eval()
