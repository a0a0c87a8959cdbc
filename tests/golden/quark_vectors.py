"""Write vectors/quark.json: the terms of Quark's loss, by scipy, and its gradient, worked out on paper.

    python tests/golden/quark_vectors.py

With p = softmax(z) at one token, and q 0 on the control tokens: ∂(−log p_y)/∂z = p − e_y,
∂KL(q ‖ p)/∂z = p − q,  ∂(−H(p))/∂z = p (log p + H(p)). No peer has this loss.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from scipy.special import log_softmax
from scipy.stats import entropy

OUT = Path(__file__).parent / "vectors" / "quark.json"
WORDS, CONTROLS, TOKENS = 5, 2, 4


def case(seed: int, beta: float, entropy_coef: float) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    logits = 2 * random.standard_normal((TOKENS, WORDS + CONTROLS))
    ref_logits = 2 * random.standard_normal((TOKENS, WORDS))
    ids = random.integers(0, WORDS, TOKENS)
    logps = log_softmax(logits, axis=1)
    policy = np.exp(logps)
    reference = np.pad(np.exp(log_softmax(ref_logits, axis=1)), ((0, 0), (0, CONTROLS)))
    of_ids = logps[range(TOKENS), ids]
    kl, spread = np.asarray(entropy(reference, policy, axis=1)), np.asarray(entropy(policy, axis=1))
    drawn = np.eye(WORDS + CONTROLS)[ids]
    of_entropy = policy * (logps + spread[:, None])
    gradient = policy - drawn + beta * (policy - reference) + entropy_coef * of_entropy
    return {
        "logits": logits.tolist(), "ref_logits": ref_logits.tolist(), "ids": ids.tolist(), "beta": beta,
        "entropy_coef": entropy_coef, "logps": of_ids.tolist(), "kl": kl.tolist(), "entropy": spread.tolist(),
        "losses": (beta * kl - entropy_coef * spread - of_ids).tolist(),
        "gradient_of_sum": gradient.tolist(),
    }  # fmt: skip


def main() -> None:
    cases = [case(0, 0.05, 0.0), case(1, 0.0, 0.06), case(2, 1.0, 0.5)]
    made = {"made_by": "tests/golden/quark_vectors.py", "scipy": scipy.__version__, "cases": cases}
    OUT.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
