"""Seconds per optimizer step and peak memory, ours beside TRL's, on the same weights, tokens and batches.

    python benchmarks/trainers.py --trl-python PATH/TO/VENV/bin/python [--methods sft,dpo] [--rounds 3]

Every round runs each method once in our interpreter and once in one that has TRL, in alternation, each in a
process of its own; the table gives the median over rounds of each run's median step. A step is one optimizer
step with everything in it: batches, forward, backward, optimizer, metrics. Inputs are made up: a random Llama
(--hidden, --layers) with a vocabulary of 4096 words, prompts of 24-40 words and responses of 64-128.
DPO runs with reference log-probabilities computed before the clock starts, on both sides. RLOO and GRPO learn
from 8 responses of 64 tokens a step, 4 to a prompt, PPO from one to each of 8 prompts; drawing them is part
of the step. PPO left TRL with 1.13, so it needs --trl-ppo, the folder of an unpacked trl==1.12.0.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNNERS = {"ours": ROOT / "benchmarks" / "trainers_ours.py", "trl": ROOT / "benchmarks" / "trainers_trl.py"}
TARGETS = {"sft": 0.60, "dpo": 0.55, "reward_model": 1.0, "rloo": 0.60, "grpo": 0.65, "ppo": 0.50}
WORDS = 4096
PRIVATE = ("json", "trl_python", "trl_ppo")  # paths of this machine


def make_inputs(folder: Path, hidden: int, layers: int, rows: int) -> None:
    """Directories of a model and a reward model, and pairs.jsonl with prompt, chosen and rejected."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        LlamaForSequenceClassification,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(0)
    shuffler = random.Random(0)
    vocabulary = {w: i for i, w in enumerate(["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(3, WORDS))])}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    for name in ("model", "reward"):
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder / name)
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=hidden,
        intermediate_size=(hidden * 8 // 3 + 15) // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=max(4, hidden // 64),
        max_position_embeddings=2048,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    config.num_labels = 1
    LlamaForSequenceClassification(config).save_pretrained(folder / "reward")
    spans = {"prompt": (24, 40), "chosen": (64, 128), "rejected": (64, 128)}
    made = [{key: words(shuffler, *span) for key, span in spans.items()} for _ in range(rows)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))


def words(shuffler: random.Random, low: int, high: int) -> str:
    return " ".join(f"w{shuffler.randrange(3, WORDS)}" for _ in range(shuffler.randint(low, high)))


def measure(
    side: str, python: str, method: str, folder: Path, options: argparse.Namespace
) -> dict[str, float]:
    """One run: the median step in seconds, peak memory in MB, the version of what ran."""
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": str(ROOT)}
    if side == "trl" and method == "ppo":
        environment["PYTHONPATH"] = str(options.trl_ppo)
    command = [python, str(RUNNERS[side]), method, str(folder), str(options.steps), options.precision]
    out = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if out.returncode:
        sys.exit(f"{side} {method} failed:\n{out.stderr[-3000:]}")
    return json.loads(out.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trl-python", required=True, help="an interpreter with trl==1.16.*")
    parser.add_argument("--trl-ppo", type=Path, help="folder of an unpacked trl==1.12.0, for ppo")
    parser.add_argument("--methods", default=",".join(TARGETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    pythons = {"ours": sys.executable, "trl": options.trl_python}
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder, options.hidden, options.layers, 512)
        print("method         ours s    TRL s  ratio target  ours MB   TRL MB")
        for method in options.methods.split(","):
            runs: dict[str, list[dict[str, float]]] = {"ours": [], "trl": []}
            for _ in range(options.rounds):
                for side, python in pythons.items():
                    runs[side].append(measure(side, python, method, folder, options))
            step = {side: statistics.median(run["step_s"] for run in of) for side, of in runs.items()}
            peak = {side: max(run["peak_mb"] for run in of) for side, of in runs.items()}
            ratio = step["ours"] / step["trl"]
            results[method] = {"ratio": ratio, "target": TARGETS[method], **runs}
            print(
                f"{method:14} {step['ours']:8.3f} {step['trl']:8.3f} {ratio:6.2f} {TARGETS[method]:6.2f}"
                f" {peak['ours']:8.0f} {peak['trl']:8.0f}",
                flush=True,
            )
    if options.json:
        shown = {key: str(value) for key, value in vars(options).items() if key not in PRIVATE}
        options.json.write_text(json.dumps({"options": shown, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
