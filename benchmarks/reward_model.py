"""Trains a small reward model from scratch on real human preferences and measures its held-out accuracy.

    python benchmarks/reward_model.py --data FOLDER [--seeds 3] [--json benchmarks/results/reward_model.json]

FOLDER has preference rows as `farm import preferences` reads them. The steps are a user's: import, snapshot
of all judgements of people (a pair that several judged is one row), farm train reward_model, which holds
out a fifth of the instructions. The model
is a Llama with random weights. Its byte-level BPE tokenizer is trained on the texts of the other
instructions. Intervals are from a bootstrap over held-out instructions. Two baselines are given: the majority
class (the output of a pair, in the ledger's order, that is preferred more often) and the longer output. Pairs
that people judge a tie are left out of all three.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from db.ids import keyed_uniform
from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from db.queries.training import Labelled, labelled
from db.records import AnnotatorKind
from farm.import_ import import_files
from farm.models.scorer import Scorer, ScorerReward
from farm.models.tokens import Prompt
from farm.snapshot import Choice, snapshot
from farm.statistics.bootstrap import Interval
from farm.statistics.measures import intervals, mean_of
from farm.train import TrainTask, train

SOURCES = ("autoj", "fgrlhf_qa_feedback", "llmfao", "pandalm", "tulu1_human_eval")
HELD_OUT, SNAPSHOT, WORDS, CONTEXT = 0.2, "people", 4096, 4096
OPTIONS = {
    "epochs": "2", "batch_size": "32", "learning_rate": "1e-3", "weight_decay": "0.1", "max_length": "1024",
    "overlong": "drop", "token_budget": "16384", "template": "plain", "log_every": "20",
}  # fmt: skip


class Split(NamedTuple):
    """Judged pairs to learn from, and judged pairs of other instructions."""

    train: list[Labelled]
    held_out: list[Labelled]


def prepare(ledger: Ledger, folder: Path) -> Split:
    """Import the rows, freeze the judgements of people, and split them as `farm train` will."""
    files = [folder / f"{source}.jsonl.gz" for source in SOURCES]
    import_files(ledger, "preferences", files, ReadOptions(), lambda *_: None)
    people = tuple(card.name for card in ledger.annotators() if card.kind is AnnotatorKind.HUMAN)
    report = snapshot(ledger, SNAPSHOT, Choice(people))
    rows = list(labelled(ledger, report.card.id))
    kept = [keyed_uniform("held out", row.instruction.key) < HELD_OUT for row in rows]
    return Split(
        [row for row, out in zip(rows, kept, strict=True) if not out],
        [row for row, out in zip(rows, kept, strict=True) if out],
    )


def texts(rows: Sequence[Labelled]) -> Iterator[str]:
    """All texts of the pairs."""
    for row in rows:
        yield from (row.instruction.text, row.instruction.input, row.output_a, row.output_b)


def write_model(folder: Path, rows: Sequence[Labelled], hidden: int, layers: int, seed: int) -> None:
    """Write a model with random weights, and a tokenizer that is trained on the texts of these rows."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts(rows), WORDS, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def right(rows: Sequence[Labelled], margins: Sequence[float]) -> np.ndarray:
    """1 where the preferred output has the higher score, a half for equal scores, NaN for a tie of people."""
    of_rows = zip(rows, margins, strict=True)
    return np.array(
        [
            np.nan if r.label == 0.5 else 0.5 if m == 0 else float((m > 0) == (r.label > 0.5))
            for r, m in of_rows
        ]
    )


def with_interval(rows: Sequence[Labelled], values: np.ndarray) -> Interval:
    """Mean over pairs, and its interval over instructions."""
    keys = sorted({row.instruction.key for row in rows})
    place = {key: i for i, key in enumerate(keys)}
    items = np.array([place[row.instruction.key] for row in rows])
    return intervals({"mean": mean_of(items, values, len(keys))}, np.arange(len(keys)))["mean"]


def scored(model: str, rows: Sequence[Labelled]) -> list[float]:
    """For each pair, the score of output_a minus the score of output_b."""
    reward = ScorerReward(Scorer.load(model), batch_rows=8)
    prompts = [Prompt.of(row.instruction) for row in rows]
    first, second = (
        reward(prompts, [getattr(row, name) for row in rows]) for name in ("output_a", "output_b")
    )
    return (first - second).tolist()


def main() -> None:
    """Train the seeds that the options name, and print and write the accuracies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Ledger.open(Path(name) / "farm.db", create=True) as ledger:
        split = prepare(ledger, options.data)
        held = split.held_out
        first = np.mean([row.label > 0.5 for row in held if row.label != 0.5])
        known = {
            "majority class": right(held, [1.0 if first > 0.5 else -1.0] * len(held)),
            "longer output": right(held, [len(row.output_a) - len(row.output_b) for row in held]),
        }
        print(f"{len(split.train)} pairs to learn from, {len(held)} held out")
        summed = np.zeros(len(held))
        for seed in range(options.seeds):
            start, model = time.perf_counter(), Path(name) / f"model-{seed}"
            write_model(model, split.train, options.hidden, options.layers, seed)
            task = TrainTask(str(model), Path(name) / f"run-{seed}", SNAPSHOT, held_out=HELD_OUT)
            report = train(ledger, "reward_model", task, None, OPTIONS | {"seed": str(seed)})
            margins = scored(f"{report.checkpoint}/model", held)
            summed += margins
            known[f"seed {seed}"] = right(held, margins)
            print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
        known["mean score of all seeds"] = right(held, summed.tolist())
        gain = known["mean score of all seeds"] - known["majority class"]
        found = {what: with_interval(held, values) for what, values in known.items()}
        found["gain over the majority class"] = with_interval(held, gain)
    for what, of in found.items():
        print(f"{what:28} {of.value:6.3f} [{of.low:.3f}, {of.high:.3f}] on {of.n} instructions")
    if options.json:
        results = {
            what: {"value": o.value, "low": o.low, "high": o.high, "n": o.n} for what, o in found.items()
        }
        given = OPTIONS | {"hidden": options.hidden, "layers": options.layers, "held_out": HELD_OUT}
        counts = {"train": len(split.train), "held_out": len(held)}
        made = {"sources": SOURCES, "options": given, "pairs": counts, "accuracy": results}
        options.json.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
