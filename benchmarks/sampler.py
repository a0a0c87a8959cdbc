"""Compares tokens per second of our sampler with transformers' generate, on responses of uneven length.

    python benchmarks/sampler.py [--prompts 128] [--mean-length 40] [--max-new 128] [--rounds 3]

The model is a Llama with random weights (--hidden, --layers; 4096 words). Its chance of ending a response is
1 / mean-length at each token, so that lengths are geometric. Both draw at temperature 1 from the same
prompts, 64 rows at a time, in turn. Padding after the end of a response is not counted. The number of forward
passes of a round is given too. On a GPU a pass of many rows takes as long as one of few, so that it bounds
the gain.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.trainers import make_inputs
from farm.config import Decoding, ModelConfig
from farm.models.generation import sample
from farm.models.policy import Policy

ROWS = 64


def with_ends(policy: Policy, mean_length: float) -> None:
    """Add a bias to the end of sequence, so that its chance is 1 / mean_length if all logits are equal."""
    head = policy.model.lm_head
    bias = head.weight.new_zeros(head.weight.shape[0])
    bias[policy.codec.eos_id] = math.log(head.weight.shape[0] / mean_length)
    head.bias = torch.nn.Parameter(bias, requires_grad=False)


def by_us(policy: Policy, prompts: list[list[int]], max_new: int, seed: int) -> int:
    """Draw with our sampler; returns the number of tokens."""
    drawn = sample(policy, prompts, Decoding(max_new_tokens=max_new), seed=seed, slots=ROWS)
    return sum(len(one.ids) for one in drawn)


def by_generate(policy: Policy, prompts: list[list[int]], max_new: int, seed: int) -> int:
    """Draw with transformers, in batches padded at the left; returns the number of tokens."""
    torch.manual_seed(seed)
    made = 0
    for at in range(0, len(prompts), ROWS):
        part = prompts[at : at + ROWS]
        width = max(map(len, part))
        ids = torch.tensor([[0] * (width - len(p)) + p for p in part], device=policy.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in part], device=policy.device)
        out = policy.model.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max_new,
            pad_token_id=0,
        )
        ended = (out[:, width:] == policy.codec.eos_id).int()
        made += int(((ended.cumsum(1) - ended) == 0).sum())
    return made


def main() -> None:
    """Draw with both in turn, and print the rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--mean-length", type=float, default=40)
    parser.add_argument("--max-new", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with tempfile.TemporaryDirectory() as name:
        make_inputs(Path(name), options.hidden, options.layers, 1)
        policy = Policy.load(str(Path(name) / "model"), ModelConfig(dtype=options.dtype))
    with_ends(policy, options.mean_length)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(24, 41, (options.prompts,), generator=generator).tolist()
    prompts = [torch.randint(3, 4096, (length,), generator=generator).tolist() for length in lengths]
    rates: dict[str, list[float]] = {"generate": [], "ours": []}
    passes: Counter[str] = Counter()
    for seed in range(options.rounds):
        for side, draw in (("generate", by_generate), ("ours", by_us)):
            counting = policy.model.register_forward_hook(lambda *_, side=side: passes.update([side]))
            start = time.perf_counter()
            made = draw(policy, prompts, options.max_new, seed)
            rates[side].append(made / (time.perf_counter() - start))
            counting.remove()
    ours, peer = (statistics.median(rates[side]) for side in ("ours", "generate"))
    print(f"ours {ours:.0f} tokens/s, generate {peer:.0f} tokens/s, ratio {ours / peer:.2f}")
    ours, peer = (passes[side] / options.rounds for side in ("ours", "generate"))
    print(f"passes of the model: ours {ours:.0f}, generate {peer:.0f}, ratio {peer / ours:.2f}")


if __name__ == "__main__":
    main()
