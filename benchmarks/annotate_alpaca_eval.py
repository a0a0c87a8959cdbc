"""Measures one run of AlpacaEval's annotator on pairs from a file, with its defaults, and prints JSON.

annotate_peer.py starts it in an interpreter that has alpaca_eval. It imports nothing of this project.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import yaml

CHAT = "<|im_start|>system\n{system}\n<|im_end|>\n<|im_start|>user\n{user}\n<|im_end|>"


def write_config(folder: Path, asked: dict[str, str]) -> Path:
    """Write an annotator with this prompt and decoding, in AlpacaEval's form."""
    user = asked["user"]
    for ours in ("instruction", "first", "second"):
        theirs = {"first": "output_1", "second": "output_2"}.get(ours, ours)
        user = user.replace(f"[[{ours}]]", f"{{{theirs}}}")
    (folder / "prompt.txt").write_text(CHAT.format(system=asked["system"], user=user))
    config = {
        "peer": {
            "prompt_template": str(folder / "prompt.txt"),
            "fn_completions": "openai_completions",
            "completions_kwargs": {"model_name": asked["model"], "max_tokens": 8, "temperature": 0},
            "fn_completion_parser": "regex_parser",
            "completion_parser_kwargs": {
                "outputs_to_match": {1: r"(?:^|\n) ?Output \(a\)", 2: r"(?:^|\n) ?Output \(b\)"}
            },
            "batch_size": 1,
        }
    }
    path = folder / "configs.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def main() -> None:
    """Judge the pairs of a folder at a provider. Arguments: FOLDER BASE_URL."""
    folder, base_url = Path(sys.argv[1]), sys.argv[2]
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_API_BASE": base_url}
    pairs = json.loads((folder / "pairs.json").read_text())
    config = write_config(folder, json.loads((folder / "asked.json").read_text()))

    from alpaca_eval.annotators import PairwiseAnnotator  # reads the environment when it is imported

    rows = [
        [{"instruction": pair["instruction"], "output": pair[side]} for pair in pairs]
        for side in ("output_1", "output_2")
    ]
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    judged = PairwiseAnnotator(annotators_config=str(config)).annotate_head2head(*rows)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    read = sum(row["preference"] in (1, 2) for row in judged)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "read": read}))


if __name__ == "__main__":
    main()
