"""Measures how peak memory follows the vocabulary, and at one vocabulary compares it with TRL's.

    python benchmarks/vocabulary.py [--trl-python PATH/TO/VENV/bin/python] [--methods sft,dpo] [--json FILE]

Each run is a few steps in a process of its own, on a Llama with random weights (--hidden, --layers), in
batches of 8 rows of about 512 tokens. At --vocabulary both sides are run. With --slope ours is run at each of
these sizes instead. The slope is in bytes for each further token of the vocabulary, beside that of the
embeddings and heads by themselves: a weight that is trained has a gradient and two moments.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.trainers import OLD, OURS, ROWS, TRL, Side, make_inputs

TRAINED, FROZEN = 4 * 4, 4  # bytes of a weight with its gradient and moments, and of one alone
MATRICES = {  # embeddings and heads of a token's size: those that are trained, and those that are frozen
    "sft": (2, 0),
    "dpo_online": (2, 2),
    "reward_model": (1, 0),
    "grpo": (2, 2),
    "ppo": (3, 3),  # the value model, and the reward model, have no head for tokens
}
PROMPT = (376, 380)  # words, so that a row has about 512 tokens


def peak(side: str, method: str, vocabulary: int, options: argparse.Namespace) -> float:
    """Peak memory of a run in MB."""
    with tempfile.TemporaryDirectory() as name:
        make_inputs(
            Path(name), options.hidden, options.layers, ROWS, prompt=PROMPT, vocabulary_size=vocabulary
        )
        runs = Side(side, Path(name), options)
        try:
            job = {"method": method, "folder": name, "steps": options.steps, "precision": "fp32"}
            found = runs.run({**job, "batch": 8, "compile": False})["peak_mb"]
        finally:
            runs.close()
        print(f"{method:13} {side:9} {vocabulary:7,} words {found:7,.0f} MB", flush=True)
        return found


def peers(method: str, options: argparse.Namespace) -> list[str]:
    """The sides that a method is run on."""
    named = {OLD: options.trl_old and method == "ppo", TRL: options.trl_python and method != "ppo"}
    return [OURS, *(side for side, given in named.items() if given)]


def main() -> None:
    """Run the methods that the options name, and print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trl-python", help="an interpreter with trl==1.16.*; without it ours runs alone")
    parser.add_argument("--trl-old", type=Path, help="folder of an unpacked trl==1.12.0, for ppo")
    parser.add_argument("--methods", default=",".join(MATRICES))
    parser.add_argument("--vocabulary", type=int, default=49_152)
    parser.add_argument("--slope", type=int, nargs="*", default=[])
    parser.add_argument("--hidden", type=int, default=576)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="add the results to this file")
    options = parser.parse_args()
    for method in options.methods.split(","):
        found: dict[str, object] = {"hidden": options.hidden, "layers": options.layers}
        if not options.slope:
            found |= {
                side: peak(side, method, options.vocabulary, options) for side in peers(method, options)
            }
        else:
            peaks = {size: peak(OURS, method, size, options) for size in options.slope}
            low, high = min(peaks), max(peaks)
            trained, frozen = MATRICES[method]
            found |= {
                "peaks": peaks,
                "bytes_a_token": (peaks[high] - peaks[low]) * 2**20 / (high - low),
                "of_embeddings": options.hidden * (TRAINED * trained + FROZEN * frozen),
            }
            print(
                f"{method:13} {found['bytes_a_token']:,.0f} bytes a token, {found['of_embeddings']:,} wanted"
            )
        if options.json:
            known = json.loads(options.json.read_text()) if options.json.exists() else {}
            known[f"{method} {'slope' if options.slope else options.vocabulary}"] = found
            options.json.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
