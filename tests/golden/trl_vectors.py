"""Write vectors/{dpo,ipo,reward_model}.json: losses and gradients of TRL's own code on random numbers.

    python tests/golden/trl_vectors.py          needs trl==1.16.*; no test needs it

TRL's loss methods are called unbound, on a stand-in for the trainer that holds what they read and no model.
Every case has inputs and what TRL made of them, so that any other implementation can be held against it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch
import trl
from torch import Tensor
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_trainer import RewardTrainer

OUT = Path(__file__).parent / "vectors"
LENGTHS = [(5, 3), (1, 4), (7, 7), (2, 6)]  # tokens of chosen and rejected


def accelerator() -> SimpleNamespace:
    same = lambda value, *_, **__: value  # noqa: E731
    calls = dict.fromkeys(("gather", "gather_for_metrics", "reduce", "unwrap_model"), same)
    return SimpleNamespace(device=torch.device("cpu"), num_processes=1, sync_gradients=True, **calls)


def trainer(**fields: object) -> SimpleNamespace:
    metrics: dict[str, defaultdict[str, list[float]]] = {
        "train": defaultdict(list),
        "eval": defaultdict(list),
    }
    return SimpleNamespace(model=SimpleNamespace(training=True), accelerator=accelerator(), _metrics=metrics,
                           aux_loss_enabled=False, _total_train_tokens=0, _tp_size=1, **fields)  # fmt: skip


def padded(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def dpo(policy: list[Tensor], reference: list[Tensor], loss_type: str, beta: float) -> Tensor:
    """DPOTrainer on per-token log-probabilities, all chosen rows before all rejected ones."""
    logps, n = padded(policy), len(policy) // 2
    mask = padded([torch.ones(len(row) + 1, dtype=torch.long) for row in policy])
    mask[:, 0] = 0  # one prompt token
    sums = torch.stack([row.sum() for row in reference])
    nothing = torch.zeros_like(logps)
    out = SimpleNamespace(log_probs=logps, entropy=nothing, mean_logits=nothing, aux_loss=None,
                          is_top1=nothing.bool(), log_sum_sq_probs=nothing)  # fmt: skip
    stub = trainer(ld_alpha=None, precompute_ref_logps=True, beta=beta, label_smoothing=0.0, ref_model=None,
                   f_divergence_type="reverse_kl", f_alpha_divergence_coef=0.5, loss_types=[loss_type],
                   loss_weights=[1.0], args=SimpleNamespace(discopop_tau=0.05),
                   use_weighting=False)  # fmt: skip
    inputs = {"input_ids": mask, "attention_mask": torch.ones_like(mask), "completion_mask": mask,
              "ref_chosen_logps": sums[:n], "ref_rejected_logps": sums[n:]}  # fmt: skip
    loss: Tensor = DPOTrainer._compute_loss(stub, lambda **_: out, inputs, False)
    return loss


def reward(chosen: Tensor, rejected: Tensor, margin: Tensor | None, centring: float | None) -> Tensor:
    stub = trainer(args=SimpleNamespace(center_rewards_coefficient=centring))
    inputs = {"attention_mask": torch.ones(2 * len(chosen), 1, dtype=torch.long)}
    if margin is not None:
        inputs["margin"] = margin
    model = lambda **_: SimpleNamespace(logits=torch.cat([chosen, rejected])[:, None])  # noqa: E731
    loss: Tensor = RewardTrainer.compute_loss(stub, model, inputs)
    return loss


def pair_cases(loss_type: str, betas: list[float]) -> list[dict[str, object]]:
    cases = []
    for seed, beta in enumerate(betas):
        torch.manual_seed(seed)
        lengths = [a for a, _ in LENGTHS] + [b for _, b in LENGTHS]
        policy = [(-torch.rand(k, dtype=torch.float64) * 4).requires_grad_() for k in lengths]
        reference = [-torch.rand(k, dtype=torch.float64) * 4 for k in lengths]
        loss = dpo(policy, reference, loss_type, beta)
        grads = torch.autograd.grad(loss, policy)
        n = len(LENGTHS)
        cases.append({
            "beta": beta,
            "chosen_logps": [row.tolist() for row in policy[:n]],
            "rejected_logps": [row.tolist() for row in policy[n:]],
            "reference_chosen_logps": [row.tolist() for row in reference[:n]],
            "reference_rejected_logps": [row.tolist() for row in reference[n:]],
            "loss": loss.item(),
            "gradient_of_chosen_sums": [float(g[0]) for g in grads[:n]],
            "gradient_of_rejected_sums": [float(g[0]) for g in grads[n:]],
        })  # fmt: skip
    return cases


def reward_cases() -> list[dict[str, object]]:
    cases = []
    for seed, (with_margin, centring) in enumerate([(False, None), (True, None), (False, 0.01), (True, 0.1)]):
        torch.manual_seed(100 + seed)
        chosen, rejected = (torch.randn(6, dtype=torch.float64).requires_grad_() for _ in range(2))
        margin = torch.rand(6, dtype=torch.float64) if with_margin else None
        loss = reward(chosen, rejected, margin, centring)
        grads = torch.autograd.grad(loss, [chosen, rejected])
        cases.append({
            "chosen": chosen.tolist(), "rejected": rejected.tolist(), "centring": centring or 0.0,
            "margin": [0.0] * 6 if margin is None else margin.tolist(), "loss": loss.item(),
            "gradient_of_chosen": grads[0].tolist(), "gradient_of_rejected": grads[1].tolist(),
        })  # fmt: skip
    return cases


def main() -> None:
    made = {"made_by": "tests/golden/trl_vectors.py", "trl": trl.__version__, "torch": torch.__version__}
    for name, cases in {
        "dpo": pair_cases("sigmoid", [0.1, 0.5, 2.0]),
        "ipo": pair_cases("ipo", [0.1, 1.0]),  # TRL's: log-ratios are means over tokens, beta is tau
        "reward_model": reward_cases(),
    }.items():
        (OUT / f"{name}.json").write_text(json.dumps(made | {"cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
