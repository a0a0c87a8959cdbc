"""Write vectors/{rloo,grpo,ppo}.json: advantages, losses and gradients of TRL's own code on random numbers.

    python tests/golden/rollout_vectors.py      trl==1.16.* writes rloo and grpo, trl==1.12.* ppo

TRL computes these in the middle of long methods. The lines in question are cut out of its source as it is
installed and run on plain tensors, under the names that they have there. No test needs TRL.

TRL puts PPO's score and bootstrap one position beyond the last token of a response that ended. Here its
lines get the mask of the response itself, so score and value stand on the token that they are about.
"""

from __future__ import annotations

import inspect
import json
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import trl

OUT = Path(__file__).parent / "vectors"
LENGTHS = [5, 1, 7, 3, 7, 2, 4, 6]  # tokens of each response
GROUP = 4
WIDTH = max(LENGTHS)
MASK = torch.arange(WIDTH) < torch.tensor(LENGTHS)[:, None]


def run_lines(method: Any, first: str, last: str, **names: Any) -> dict[str, Any]:
    """Run a method's lines from the one that has `first` to the one before `last`; the names afterwards."""
    lines = inspect.getsource(method).splitlines()
    begin = next(i for i, line in enumerate(lines) if first in line)
    end = next(i for i, line in enumerate(lines) if i > begin and last in line)
    scope = dict(inspect.getmodule(method).__dict__) | names
    exec(textwrap.dedent("\n".join(lines[begin:end])), scope)  # noqa: S102
    return scope


def random_logps(seed: int) -> SimpleNamespace:
    """Log-probabilities of the policy now, when it drew and of the reference, and scores."""
    torch.manual_seed(seed)
    old = -torch.rand(len(LENGTHS), WIDTH, dtype=torch.float64) * 3
    return SimpleNamespace(
        old=old * MASK,
        now=((old + 0.3 * torch.randn_like(old)) * MASK).requires_grad_(),
        ref=(old + 0.5 * torch.randn_like(old)) * MASK,
        score=torch.randn(len(LENGTHS), dtype=torch.float64),
    )


def rows(values: torch.Tensor) -> list[list[float]]:
    """Without the padding."""
    return [row[:length].tolist() for row, length in zip(values, LENGTHS, strict=True)]


def case(given: SimpleNamespace, loss: torch.Tensor, advantages: torch.Tensor, **more: Any) -> dict[str, Any]:
    (gradient,) = torch.autograd.grad(loss, given.now)
    shown = {"logps": given.now, "old_logps": given.old, "ref_logps": given.ref, "gradient": gradient}
    of_rows = rows(advantages) if advantages.ndim == 2 else advantages.tolist()
    named = {"scores": given.score.tolist(), "advantages": of_rows, "loss": loss.item()}
    return more | {name: rows(values.detach()) for name, values in shown.items()} | named


def rloo(seed: int, beta: float, clip: float) -> dict[str, Any]:
    from trl import RLOOTrainer

    given = random_logps(seed)
    advantages = run_lines(
        RLOOTrainer._generate_and_score_completions, "# Include the KL penalty", "# Normalize advantages",
        self=SimpleNamespace(beta=beta), rewards=given.score.clone(), old_per_token_logps=given.old,
        ref_per_token_logps=given.ref, completion_mask=MASK, gather=lambda x: x, num_generations=GROUP,
    )["advantages"]  # fmt: skip
    loss = run_lines(
        RLOOTrainer._compute_loss, "logps = (per_token_logps", "# Log the metrics",
        self=SimpleNamespace(epsilon_low=clip, epsilon_high=clip), per_token_logps=given.now,
        completion_mask=MASK, inputs={"old_logps": given.old.sum(1), "advantages": advantages},
    )["loss"]  # fmt: skip
    return case(given, loss, advantages, n=GROUP, beta=beta, clip=clip)


def grpo(
    seed: int,
    beta: float,
    clip: float,
    scale: bool,
    every_token: bool,
    correct_kl: bool = False,
    far: float = 0.0,
) -> dict[str, Any]:
    """far: added to the reference's log-probabilities of one token; 7 makes its k3 about 1,000."""
    from trl import GRPOTrainer

    given = random_logps(seed)
    given.ref[0, 1] += far
    scores = "group" if scale else "none"
    advantages = run_lines(
        GRPOTrainer._generate_and_score_completions, "mean_grouped_rewards = torch.nanmean", "is_std_zero",
        self=SimpleNamespace(scale_rewards=scores), rewards=given.score, num_generations=GROUP,
    )["advantages"]  # fmt: skip
    stub = SimpleNamespace(
        importance_sampling_level="token", beta=beta, epsilon_low=clip, epsilon_high=clip, use_vllm=False,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=correct_kl), off_policy_mask_threshold=None,
        model=SimpleNamespace(training=True), current_gradient_accumulation_steps=1,
        loss_type="bnpo" if every_token else "grpo",
    )  # fmt: skip
    loss = run_lines(
        GRPOTrainer._compute_loss, "log_ratio = per_token_logps", 'elif self.loss_type == "luspo"',
        self=stub, per_token_logps=given.now, old_per_token_logps=given.old, mask=MASK, entropy_mask=None,
        advantages=advantages[:, None], inputs={"ref_per_token_logps": given.ref},
    )["loss"]  # fmt: skip
    options = {"n": GROUP, "beta": beta, "clip": clip, "scale": scale, "every_token": every_token}
    return case(given, loss, advantages, **options, correct_kl=correct_kl)


def ppo(seed: int, **options: Any) -> dict[str, Any]:
    from trl.experimental.ppo import PPOTrainer

    given = random_logps(seed)
    old_values = torch.randn(len(LENGTHS), WIDTH, dtype=torch.float64) * MASK
    values = (old_values + 0.3 * torch.randn_like(old_values)).requires_grad_()
    args = SimpleNamespace(
        kl_estimator="k1", kl_coef=options["beta"], whiten_rewards=options["whiten_rewards"],
        gamma=options["gamma"], lam=options["lam"], cliprange=options["clip"], vf_coef=options["vf_coef"],
        cliprange_value=options["value_clip"],
    )  # fmt: skip
    last = torch.tensor(LENGTHS) - 1
    learnt = run_lines(
        PPOTrainer.train, "logr = ref_logprobs - logprobs", "empty_cache()",
        args=args, logprobs=given.old, ref_logprobs=given.ref, values=old_values, scores=given.score,
        sequence_lengths=last, sequence_lengths_p1=last, responses=MASK,
        padding_mask=~MASK, padding_mask_p1=~MASK,
    )  # fmt: skip
    losses = run_lines(
        PPOTrainer.train, "vpredclipped = torch.clamp(", "accelerator.backward(loss)",
        args=args, vpred=values, mb_values=old_values, mb_return=learnt["returns"], new_logprobs=given.now,
        mb_logprobs=given.old, mb_advantage=learnt["advantages"], padding_mask=~MASK, padding_mask_p1=~MASK,
        micro_batch_inds=slice(None),
    )  # fmt: skip
    of_values = torch.autograd.grad(losses["loss"], values, retain_graph=True)[0]
    return case(
        given, losses["loss"], learnt["advantages"], **options, old_values=rows(old_values),
        values=rows(values.detach()), rewards=rows(learnt["rewards"]), returns=rows(learnt["returns"]),
        policy_loss=losses["pg_loss"].item(), value_loss=losses["vf_loss"].item(),
        gradient_of_values=rows(of_values),
    )  # fmt: skip


def main() -> None:
    made = {"made_by": "tests/golden/rollout_vectors.py", "trl": trl.__version__, "torch": torch.__version__}
    if trl.__version__.startswith("1.12"):
        common = {"clip": 0.2, "value_clip": 0.2}
        cases = {"ppo": [
            ppo(0, beta=0.05, whiten_rewards=False, gamma=1.0, lam=0.95, vf_coef=0.1, **common),
            ppo(1, beta=0.5, whiten_rewards=True, gamma=1.0, lam=1.0, vf_coef=0.5, **common),
            ppo(2, beta=0.0, whiten_rewards=False, gamma=0.9, lam=0.5, vf_coef=1.0, clip=0.1, value_clip=0.4),
        ]}  # fmt: skip
    else:
        cases = {
            "rloo": [rloo(0, 0.05, 0.2), rloo(1, 0.0, 0.1), rloo(2, 0.5, 0.2)],
            "grpo": [
                grpo(0, 0.04, 0.2, True, False),
                grpo(1, 0.0, 0.1, False, False),
                grpo(2, 0.5, 0.2, True, True),
                grpo(3, 0.04, 0.2, True, False, correct_kl=False, far=7.0),
                grpo(3, 0.04, 0.2, True, False, correct_kl=True, far=7.0),
            ],
        }
    for name, of_method in cases.items():
        (OUT / f"{name}.json").write_text(json.dumps(made | {"cases": of_method}, indent=1) + "\n")


if __name__ == "__main__":
    main()
