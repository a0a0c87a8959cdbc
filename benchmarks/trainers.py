"""Compares seconds per optimizer step and peak memory with TRL, on the same weights, tokens and batches.

    python benchmarks/trainers.py --trl-python PATH/TO/VENV/bin/python [--methods sft,dpo] [--rounds 3]

Every round runs each method once in our interpreter and once in one with TRL, in turn. The table has the
median over rounds of each run's median step. A step is one optimizer step with all its parts: batches,
forward, backward, optimizer, metrics. Inputs are made up: a Llama with random weights (--hidden, --layers)
and a vocabulary of 4096 words (--vocabulary), prompts of 24-40 words (--prompt) and responses of 64-128
words. dpo and kto compute the log-probabilities of the reference before the clock starts, on both sides;
dpo_online is dpo that computes them in the step. kto learns from --batch single outputs. RLOO, GRPO, DAPO and
GSPO learn from --batch responses of 64 tokens in a step, 4 for each prompt; the last two without a KL term
or a reference, and DAPO without dynamic sampling, which TRL's has not. orpo's imitation is of the chosen
response here and of prompt and response in TRL, so the two learn apart, at the same cost for TRL, which
computes all logits anyway.
online_dpo draws 2 for each prompt, and a function that costs nothing judges them. PPO learns from --batch
responses, 1 for each prompt. Drawing the responses is part of the step.
--trl-old is the folder of an unpacked trl==1.12.0. It is timed too, because TRL 1.16 is slower on a CPU, and
because TRL 1.16 has no PPO: for PPO the ratio is to 1.12.

Each run has a process of its own, since peak memory is measured by process. With --keep each side keeps one
process for all runs. That is meant for GPUs, where the allocator's peak can be reset. --peak is the number of
TFLOP/s that the device can do. With it, the share of the peak that our step reaches is reported. It counts 2
operations per weight for each token of each forward pass that the method needs (PASSES), and twice as many
for a backward pass. The input embedding counts as no operation.
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
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.trainer_side import JOB, ROLLOUTS

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
    "kto": 0.60,
    "simpo": 0.60,
    "orpo": 0.60,
    "cpo": 0.60,
    "dapo": 0.65,
    "gspo": 0.65,
    "online_dpo": 0.65,
}
PASSES = {  # forward passes over a step's tokens; a backward pass counts as two
    "sft": 3,
    "reward_model": 3,
    "dpo": 3,
    "dpo_online": 4,  # one more for the reference
    "rloo": 5,  # one more to draw
    "grpo": 5,
    "ppo": 10,  # 6 to train policy and value model, 1 to draw, 3 for reference, value and reward model
    "kto": 4,  # one more for outputs to other prompts
    "simpo": 3,
    "orpo": 3,
    "cpo": 3,
    "dapo": 4,  # one more to draw, and no reference
    "gspo": 4,
    "online_dpo": 5,
}
WORDS = 4096
ROWS = 512  # least number of pairs: batches are sorted by length over many steps, so that fewer would differ
PROMPT, RESPONSE, DRAWN = (24, 40), (64, 128), 64  # words
PRIVATE = ("json", "trl_python", "trl_old", "methods")  # options that results do not record


class Side:
    """A process of one side, ours or TRL's, which runs one job after another."""

    def __init__(self, name: str, folder: Path, options: argparse.Namespace) -> None:
        self.name, self.errors = name, folder / f"{name}.log"
        python, script = options.trl_python, "trainers_trl.py"
        path = str(options.trl_old) if name == OLD else ""
        if name == OURS:
            python, script, path = sys.executable, "trainers_ours.py", str(ROOT)
        path = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": path}
        command, pipe = [python, str(ROOT / "benchmarks" / script)], subprocess.PIPE
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=environment
            )

    def run(self, job: dict[str, object]) -> dict[str, float]:
        """The median step in seconds, peak memory in MB, the version of what ran."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(job), file=self.process.stdin, flush=True)
        if line := self.process.stdout.readline():
            found: dict[str, float] = json.loads(line)
            return found
        sys.exit(f"{self.name} {job['method']} failed:\n{self.errors.read_text()[-3000:]}")

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def make_inputs(
    folder: Path,
    hidden: int,
    layers: int,
    count: int,
    prompt: tuple[int, int] = PROMPT,
    vocabulary_size: int = WORDS,
) -> int:
    """Write a model and a reward model, and `count` pairs as pairs.jsonl (prompt, chosen, rejected).

    Returns the number of weights that a token is multiplied with: all but those of the input embedding.
    vocabulary_size: tokens that the model knows. The texts use the first WORDS of them.
    """
    torch.manual_seed(0)
    shuffler = random.Random(0)
    vocabulary = {w: i for i, w in enumerate(["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(3, WORDS))])}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    for name in ("model", "reward"):
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder / name)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=hidden,
        intermediate_size=(hidden * 8 // 3 + 15) // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=max(4, hidden // 64),
        max_position_embeddings=2048,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder / "model")
    config.num_labels = 1
    LlamaForSequenceClassification(config).save_pretrained(folder / "reward")
    spans = {"prompt": prompt, "chosen": RESPONSE, "rejected": RESPONSE}
    made = [{key: words(shuffler, *span) for key, span in spans.items()} for _ in range(count)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    embedding = sum(each.numel() for each in model.get_input_embeddings().parameters())
    return int(model.num_parameters()) - int(embedding)


def rows(options: argparse.Namespace) -> int:
    """The number of pairs that a run needs."""
    needed: int = options.batch * (options.steps + 4)
    return max(ROWS, needed)


def words(shuffler: random.Random, low: int, high: int) -> str:
    """A text of `low` to `high` random words."""
    return " ".join(f"w{shuffler.randrange(3, WORDS)}" for _ in range(shuffler.randint(low, high)))


def sides(method: str, options: argparse.Namespace) -> list[str]:
    """The sides that run a method. The last is the one that ours is compared with."""
    old = [OLD] if options.trl_old else []
    return [OURS, *old] if method == "ppo" or not options.trl_python else [OURS, *old, TRL]


def tokens_a_step(method: str, options: argparse.Namespace) -> float:
    """Mean number of tokens that a step learns from, without padding. Drawn responses have full length."""
    batch: int = options.batch
    prompt: float = sum(options.prompt) / 2
    response = sum(RESPONSE) / 2
    if method in ROLLOUTS:
        return batch * (prompt + DRAWN)
    return batch * (prompt + response + 1) * (1 if method in ("sft", "kto") else 2)


def compare(
    method: str, job: dict[str, object], weights: int, kept: dict[str, Side], options: argparse.Namespace
) -> dict[str, Any]:
    """Run a method on all sides, in turn, and compare our step's time and peak memory with the peer's."""
    who = sides(method, options)
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in who}
    for _ in range(options.rounds):
        for name in who:
            side = kept.pop(name, None) or Side(name, Path(str(job["folder"])), options)
            runs[name].append(side.run({"method": method, **job}))
            if options.keep:
                kept[name] = side
            else:
                side.close()
    step = {name: statistics.median(run["step_s"] for run in of) for name, of in runs.items()}
    peak = {name: max(run["peak_mb"] for run in of) for name, of in runs.items()}
    ratio, target = step[OURS] / step[who[-1]], TARGETS[method]
    shown = "  ".join(f"{name} {step[name]:.3f} s {peak[name]:.0f} MB" for name in who)
    print(f"{method:13} ratio {ratio:.2f} (at most {target:.2f})  {shown}", flush=True)
    found = {"ratio": ratio, "target": target, "peak_ratio": peak[OURS] / peak[who[-1]], **runs}
    return found | speed(method, step[OURS], weights, options)


def speed(method: str, seconds: float, weights: int, options: argparse.Namespace) -> dict[str, float]:
    """Tokens per second of a step of so many seconds; with --peak also its share of the device's peak."""
    tokens = tokens_a_step(method, options)
    found = {"weights": weights, "tokens_a_second": tokens / seconds}
    if options.peak:
        found["share_of_peak"] = 2 * weights * tokens * PASSES[method] / seconds / options.peak / 1e12
        print(f"{'':13} {tokens / seconds:.0f} tokens/s, {found['share_of_peak']:.1%} of the peak")
    return found


def main() -> None:
    """Compare the methods that the options name, and print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trl-python", help="an interpreter with trl==1.16.*; without it ours runs alone")
    parser.add_argument("--trl-old", type=Path, help="folder of an unpacked trl==1.12.0; ppo needs it")
    parser.add_argument("--methods", default=",".join(TARGETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--prompt", type=int, nargs=2, default=PROMPT, help="words, at least and at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--vocabulary", type=int, default=WORDS, help="tokens; at least 4,096")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true", help="torch.compile on every side")
    parser.add_argument("--keep", action="store_true", help="one process a side for all runs")
    parser.add_argument("--peak", type=float, help="TFLOP/s that the device can do at most")
    parser.add_argument("--json", type=Path, help="add the results to this file")
    options = parser.parse_args()
    shown = {key: str(value) for key, value in vars(options).items() if key not in PRIVATE}
    kept: dict[str, Side] = {}
    with tempfile.TemporaryDirectory() as name:
        weights = make_inputs(
            Path(name),
            options.hidden,
            options.layers,
            rows(options),
            tuple(options.prompt),
            options.vocabulary,
        )
        job = {"folder": name} | {key: vars(options)[key] for key in JOB}
        for method in options.methods.split(","):
            found = compare(method, job, weights, kept, options)
            if options.json:
                known = json.loads(options.json.read_text()) if options.json.exists() else {}
                known[method] = {"options": shown, **found}
                options.json.write_text(json.dumps(known, indent=1) + "\n")
    for side in kept.values():
        side.close()


if __name__ == "__main__":
    main()
