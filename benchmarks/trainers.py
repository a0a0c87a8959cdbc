"""Seconds per optimizer step and peak memory, ours beside TRL's, on the same weights, tokens and batches.

    python benchmarks/trainers.py --trl-python PATH/TO/VENV/bin/python [--methods sft,dpo] [--rounds 3]

Every round runs each method once in our interpreter and once in one that has TRL, in turn, each in a process
of its own; the table gives the median over rounds of each run's median step. A step is one optimizer step
with everything in it: batches, forward, backward, optimizer, metrics. Inputs are made up: a random Llama
(--hidden, --layers) with a vocabulary of 4096 words, prompts of 24-40 words and responses of 64-128.
dpo has its reference log-probabilities before the clock starts, on both sides; dpo_online computes them in
the step. RLOO and GRPO learn from 8 responses of 64 tokens a step, 4 to a prompt, PPO from one to each of 8
prompts; drawing them is part of the step. --trl-old is the folder of an unpacked trl==1.12.0, whose times
stand beside: TRL 1.16 is slower on a CPU, and PPO left it, so there the ratio is to 1.12.
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
OURS, TRL, OLD = "ours", "trl_1.16", "trl_1.12"
TARGETS = {
    "sft": 0.60,
    "reward_model": 1.0,
    "dpo": 0.55,
    "dpo_online": 0.55,
    "rloo": 0.60,
    "grpo": 0.65,
    "ppo": 0.50,
}
WORDS = 4096
PRIVATE = ("json", "trl_python", "trl_old")  # paths of this machine


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


def sides(method: str, options: argparse.Namespace) -> list[str]:
    """Who runs a method, the one that ours is compared with last."""
    old = [OLD] if options.trl_old else []
    return [OURS, *old] if method == "ppo" else [OURS, *old, TRL]


def measure(side: str, method: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """One run: the median step in seconds, peak memory in MB, the version of what ran."""
    python, script = options.trl_python, "trainers_trl.py"
    path = str(options.trl_old) if side == OLD else ""
    if side == OURS:
        python, script, path = sys.executable, "trainers_ours.py", str(ROOT)
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": path}
    runner = str(ROOT / "benchmarks" / script)
    command = [python, runner, method, str(folder), str(options.steps), options.precision]
    out = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if out.returncode:
        sys.exit(f"{side} {method} failed:\n{out.stderr[-3000:]}")
    return json.loads(out.stdout.splitlines()[-1])


def compare(method: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """All runs of a method, in turn, and how ours stands to the peer's."""
    who = sides(method, options)
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in who}
    for _ in range(options.rounds):
        for side in who:
            runs[side].append(measure(side, method, folder, options))
    step = {side: statistics.median(run["step_s"] for run in of) for side, of in runs.items()}
    peak = {side: max(run["peak_mb"] for run in of) for side, of in runs.items()}
    ratio, target = step[OURS] / step[who[-1]], TARGETS[method]
    shown = "  ".join(f"{side} {step[side]:.3f} s {peak[side]:.0f} MB" for side in who)
    print(f"{method:13} ratio {ratio:.2f} (at most {target:.2f})  {shown}", flush=True)
    return {"ratio": ratio, "target": target, "peak_ratio": peak[OURS] / peak[who[-1]], **runs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trl-python", required=True, help="an interpreter with trl==1.16.*")
    parser.add_argument("--trl-old", type=Path, help="folder of an unpacked trl==1.12.0; ppo needs it")
    parser.add_argument("--methods", default=",".join(TARGETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--json", type=Path, help="add the results to this file")
    options = parser.parse_args()
    shown = {key: str(value) for key, value in vars(options).items() if key not in (*PRIVATE, "methods")}
    with tempfile.TemporaryDirectory() as name:
        make_inputs(Path(name), options.hidden, options.layers, 512)
        for method in options.methods.split(","):
            found = compare(method, Path(name), options)
            if options.json:
                known = json.loads(options.json.read_text()) if options.json.exists() else {}
                known[method] = {"options": shown, **found}
                options.json.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
