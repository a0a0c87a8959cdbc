"""Hold vectors/*_objectives.json against TRL's own code: loss and gradients of every case that TRL has.

    python -m tests.golden.objective_vectors          needs trl==1.16.*; no test needs it

The vectors of bco are from trl 1.12, the last to have that trainer. Those of hand_objectives.json are worked
out in their notes. TRL's methods are called unbound, on a stand-in that holds what they read. `paper` is not
TRL's: it is numpy on the equation of the paper, with gradients by differences.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from torch import Tensor
from trl.experimental.cpo.cpo_trainer import CPOTrainer
from trl.experimental.orpo.orpo_trainer import ORPOTrainer
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer

from tests.golden.trl_vectors import accelerator, padded, trainer

FOLDER = Path(__file__).parent / "vectors"
Case = Mapping[str, Any]
Rows = Sequence[Tensor]


def rows(numbers: Sequence[Sequence[float]], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [torch.tensor(row, dtype=dtype) for row in numbers]


def completion_mask(answers: Rows) -> Tensor:
    """One prompt token, then the answer."""
    mask: Tensor = padded([torch.ones(len(row) + 1, dtype=torch.long) for row in answers])
    mask[:, 0] = 0
    return mask


def outputs(logps: Tensor, mass: Tensor | None = None) -> SimpleNamespace:
    nothing = torch.zeros_like(logps)
    return SimpleNamespace(
        log_probs=logps,
        entropy=nothing,
        mean_logits=nothing,
        is_top1=nothing.bool(),
        log_sum_sq_probs=nothing if mass is None else mass,
        aux_loss=None,
    )


def sums(answers: Rows, others: Rows, discount: float | None) -> Tensor:
    """Sums of the reference, with tokens beyond the partner's length discounted (ld_alpha)."""
    factor = 1.0 if discount is None else discount
    both = zip(answers, others, strict=True)
    return torch.stack([row[: len(o)].sum() + factor * row[len(o) :].sum() for row, o in both])


def dpo(leaves: Mapping[str, Rows], inputs: Case, options: Case) -> Tensor:
    chosen, rejected = leaves["chosen"], leaves["rejected"]
    kind = options["loss_type"]
    kinds = [kind] if isinstance(kind, str) else kind
    dtype = chosen[0].dtype
    reference = [rows(inputs[f"ref_{side}"], dtype) for side in ("chosen", "rejected")]
    discount = options.get("ld_alpha")
    mass = padded([*rows(inputs["log_sum_sq_chosen"], dtype), *rows(inputs["log_sum_sq_rejected"], dtype)])
    stub = trainer(
        ld_alpha=discount,
        precompute_ref_logps=True,
        beta=options["beta"],
        label_smoothing=options.get("label_smoothing", 0.0),
        ref_model=None,
        f_divergence_type=options.get("f_divergence_type", "reverse_kl"),
        f_alpha_divergence_coef=options.get("f_alpha_divergence_coef", 0.5),
        loss_types=kinds,
        loss_weights=options.get("loss_weights", [1.0] * len(kinds)),
        args=SimpleNamespace(discopop_tau=options.get("discopop_tau", 0.05)),
        use_weighting=options.get("use_weighting", False),
    )
    mask = completion_mask([*chosen, *rejected])
    given = {
        "input_ids": mask,
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "ref_chosen_logps": sums(reference[0], reference[1], discount),
        "ref_rejected_logps": sums(reference[1], reference[0], discount),
    }
    said = outputs(padded([*chosen, *rejected]), mass)
    loss: Tensor = DPOTrainer._compute_loss(stub, lambda **_: said, given, False)
    return loss


def cpo(leaves: Mapping[str, Rows], inputs: Case, options: Case) -> Tensor:
    """The preference term of TRL and its negative log-likelihood, a mean over all chosen tokens."""
    by_token = options["loss_type"] in ("ipo", "simpo")
    sides = [
        torch.stack([row.mean() if by_token else row.sum() for row in leaves[side]])
        for side in ("chosen", "rejected")
    ]
    stub = SimpleNamespace(accelerator=accelerator(), **options)
    losses, _, _ = CPOTrainer.cpo_loss(stub, *sides)
    whole: Tensor = losses.mean() - options["cpo_alpha"] * torch.cat(list(leaves["chosen"])).mean()
    return whole


def orpo(leaves: Mapping[str, Rows], inputs: Case, options: Case) -> Tensor:
    means = [torch.stack([row.mean() for row in leaves[side]]) for side in ("chosen", "rejected")]
    stub = SimpleNamespace(beta=options["beta"], accelerator=accelerator())
    odds = ORPOTrainer.odds_ratio_loss(stub, *means)[0]
    whole: Tensor = -torch.cat([*leaves["prompt"], *leaves["chosen"]]).mean() - odds.mean()
    return whole


def kto(leaves: Mapping[str, Rows], inputs: Case, options: Case) -> Tensor:
    answers = leaves["answers"]
    stub = trainer(
        calculate_KL=options["loss_type"] == "kto",
        precompute_ref_logps=True,
        loss_type=options["loss_type"],
        beta=options["beta"],
        desirable_weight=options["desirable_weight"],
        undesirable_weight=options["undesirable_weight"],
    )
    stub._compute_kl_logps = lambda *_: torch.tensor(inputs[options["mismatched"]])
    mask = completion_mask(answers)
    given = {
        "input_ids": mask,
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "label": torch.tensor(inputs["desirable"]),
        "ref_logps": torch.stack([row.sum() for row in rows(inputs["reference"])]),
        "ref_KL_logps": torch.tensor(inputs["mismatched_reference"]),
    }
    said = outputs(padded(list(answers)))
    loss: Tensor = KTOTrainer._compute_loss(stub, lambda **_: said, given, False)
    return loss


TRAINERS: dict[str, Callable[[Mapping[str, Rows], Case, Case], Tensor]] = {
    "DPOTrainer": dpo,
    "CPOTrainer": cpo,
    "ORPOTrainer": orpo,
    "KTOTrainer": kto,
}


def differences(found: Case) -> Iterator[tuple[str, float]]:
    """Name of each case that TRL 1.16 has, and its largest relative difference from TRL."""
    for name, cases in found["methods"].items():
        for number, case in enumerate(cases):
            if case["trl"] not in TRAINERS:
                continue
            inputs, dtype = found["inputs"][case["inputs"]], getattr(torch, case["dtype"])
            leaves = {
                side: [row.requires_grad_() for row in rows(inputs[side], dtype)]
                for side in case["gradients"]
            }
            loss = TRAINERS[case["trl"]](leaves, inputs, case["options"])
            grads = torch.autograd.grad(loss, list(chain(*leaves.values())))
            expected = list(chain(*case["gradients"].values()))
            pairs = [(loss.item(), case["loss"])]
            for mine, theirs in zip(grads, expected, strict=True):
                pairs += zip(mine.tolist(), theirs, strict=True)
            yield f"{name}-{number}", max(abs(a - b) / (abs(b) + 1e-6) for a, b in pairs)


def main() -> None:
    worst = 0.0
    for path in sorted(FOLDER.glob("*_objectives.json")):
        if path.name.startswith("hand"):
            continue
        for name, difference in differences(json.loads(path.read_text())):
            print(f"{path.stem} {name}: {difference:.1e}")
            worst = max(worst, difference)
    print(f"largest: {worst:.1e}")


if __name__ == "__main__":
    main()
