"""Compares annotations per second with AlpacaEval's annotator, on the same pairs, prompt and provider.

    python benchmarks/annotate_peer.py --data FOLDER --peer-python PATH/TO/VENV/bin/python [--rounds 3]

FOLDER has AlpacaEval's tables (instructions, outputs). The pairs are the outputs of one model against those
of another. The provider is the simulator in a process of its own, at 50 ms latency. Each side has its own
process and its default options, and the sides take turns. The clock runs during the call and not during
imports. The peer needs alpaca_eval==0.6.6 and setuptools<81.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.annotate import ONCE, simulator
from db.ledger import Ledger
from db.records import Instruction, Output, Pair

PEER = Path(__file__).with_name("annotate_alpaca_eval.py")
TARGET = 8.0  # our rate should be at least so many times the peer's
SYSTEM = """\
An instruction is followed by two outputs. Say which of them follows the instruction better: completely, \
correctly, and no longer than it takes.

Reply with "Output (a)" or "Output (b)" and nothing else."""
USER = """\
<instruction 5f0e1d2c>
[[instruction]]
</instruction 5f0e1d2c>
<output_a 5f0e1d2c>
[[first]]
</output_a 5f0e1d2c>
<output_b 5f0e1d2c>
[[second]]
</output_b 5f0e1d2c>"""
OURS = """\
name: peer
kind: llm
model: {model}
outputs: [a, b]
decoding: {{temperature: 0, max_tokens: 8}}
parser: {{name: verdict, start: true}}
"""
MODEL = "gpt-5.4-mini"


def real_pairs(folder: Path, model: str, reference: str) -> list[dict[str, str]]:
    """The outputs of two models to the same instructions, in the order of AlpacaEval's tables."""
    found: dict[str, dict[str, str]] = {model: {}, reference: {}}
    with gzip.open(folder / "outputs.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["model"] in found:
                found[row["model"]][row["instruction"]] = row["output"]
    return [
        {"instruction": asked, "output_1": output, "output_2": found[model][asked]}
        for asked, output in found[reference].items()
        if asked in found[model]
    ]


def write_ours(folder: Path, pairs: list[dict[str, str]]) -> None:
    """Write a ledger of the pairs, and an annotator with the prompt."""
    with Ledger.open(folder / "farm.db", create=True) as ledger, ledger.writing() as writer:
        writer.pairs(
            [
                Pair.of(*(Output(Instruction(p["instruction"]), p[f"output_{k}"], f"m{k}") for k in (1, 2)))[
                    0
                ]
                for p in pairs
            ]
        )
    annotator = folder / "peer"
    annotator.mkdir()
    (annotator / "annotator.yaml").write_text(OURS.format(model=MODEL))
    user = USER
    for name in ("instruction", "first", "second"):
        user = user.replace(f"[[{name}]]", f"{{{{ pair.{name} }}}}")
    blocks = ("system", SYSTEM), ("user", "{% for pair in pairs %}\n" + user + "\n{% endfor %}")
    text = "\n".join(f"{{% block {name} %}}\n{said}\n{{% endblock %}}" for name, said in blocks)
    (annotator / "prompt.jinja").write_text(text)


def measure(side: str, peer_python: str, pairs: list[dict[str, str]]) -> dict[str, Any]:
    """Run one side, with a folder, a ledger and a provider of its own; returns the figures of the run."""
    with tempfile.TemporaryDirectory() as name, simulator(0.05) as url:
        folder = Path(name)
        if side == "ours":
            write_ours(folder, pairs)
            command = [sys.executable, str(ONCE), str(folder / "farm.db"), url, str(folder / "peer")]
        else:
            (folder / "pairs.json").write_text(json.dumps(pairs))
            (folder / "asked.json").write_text(json.dumps({"system": SYSTEM, "user": USER, "model": MODEL}))
            command = [peer_python, str(PEER), str(folder), url]
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" or side == "ours"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
        if done.returncode:
            sys.exit(done.stderr)
        with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as reply:
            stats = json.load(reply)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {
        "side": side,
        "per_second": found["read"] / found["seconds"],
        "cpu_ms": 1000 * found["cpu_seconds"] / found["read"],
        "read": found["read"],
        "requests": stats["hits"],
        "prompt_tokens": stats["prompt_tokens"],
    }


def main() -> None:
    """Run both sides in turn, and print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of AlpacaEval's tables")
    parser.add_argument("--peer-python", required=True, help="an interpreter with alpaca_eval==0.6.6")
    parser.add_argument("--model", default="vicuna-7b")
    parser.add_argument("--reference", default="gpt4_1106_preview")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pairs = real_pairs(options.data, options.model, options.reference)
    runs = []
    for _ in range(options.rounds):
        for side in ("ours", "alpaca_eval"):
            runs.append(measure(side, options.peer_python, pairs))
            print(json.dumps(runs[-1]), flush=True)
    rate = {
        s: statistics.median(r["per_second"] for r in runs if r["side"] == s) for s in ("ours", "alpaca_eval")
    }
    times = rate["ours"] / rate["alpaca_eval"]
    print(f"{len(pairs)} pairs: {json.dumps(rate)} a second, {times:.1f} times")
    result = {
        "command": "python benchmarks/annotate_peer.py --data FOLDER --peer-python PYTHON"
        f" --rounds {options.rounds}",
        "pairs": {"model": options.model, "reference": options.reference, "count": len(pairs)},
        "runs": runs,
        "median_per_second": rate,
        "times": times,
        "target": TARGET,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
