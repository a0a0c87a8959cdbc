"""A run in a process of its own, whose peak memory and time are measured beside what its dry run foresaw."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from db.ledger import Ledger
from db.records import Annotation, Instruction, Membership, Output, Pair, ProducerKind
from farm.snapshot import Choice, snapshot
from tests.support.judged_sums import ADA
from tests.support.tiny_models import byte_tokenizer

# Run the command line, then say what this process held at most, in bytes. The mark of getrusage would begin
# at what the process that started it held.
MEASURED = """
from cli import main
try:
    main()
finally:
    [held] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    open(PEAK, "w").write(str(int(held) * 1024))
"""


@dataclass(frozen=True)
class Measured:
    """What a command said, its peak memory in bytes, and its seconds."""

    said: dict[str, Any]
    peak: int
    seconds: float


def measured(folder: Path, *command: str) -> Measured:
    """Run `farm COMMAND --json` in a process of its own."""
    peak, began = folder / "peak", time.monotonic()
    code = f"PEAK = {str(peak)!r}\n{MEASURED}"
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Measured(json.loads(done.stdout), int(peak.read_text()), time.monotonic() - began)


def write_study(
    folder: Path, *, rows: int, characters: int, hidden: int, layers: int, vocabulary: int
) -> None:
    """A ledger of judged pairs and demonstrations, a policy and a reward model, each with random weights.

    characters: of a prompt with a response, about as many tokens, half of them the prompt's.
    """
    shuffler = random.Random(0)
    letters = "abcdefghij klmnop"

    def text(length: int) -> str:
        return "".join(shuffler.choices(letters, k=length)).strip() or "a"

    with Ledger.open(folder / "farm.db", create=True) as ledger:
        with ledger.writing() as writer:
            [ada] = writer.annotators([ADA])
            for i in range(rows):
                length = shuffler.randint(characters // 4, characters // 2)
                asked = Instruction(f"{i} {text(length)}")
                outputs = [Output(asked, text(length), "m") for _ in range(2)]
                pair, _ = Pair.of(*outputs)
                [pair_id] = writer.pairs([pair])
                writer.annotations([Annotation(pair_id, ada, 1.0, 1.0, False)])
                shown = Output(asked, text(length), "reference", producer_kind=ProducerKind.REFERENCE)
                writer.outputs([shown])
                writer.memberships([Membership(asked, "asked")])
        snapshot(ledger, "people", Choice())
    tokenizer = byte_tokenizer(pad="<pad>", eos="</s>")
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=max(4, hidden // 64),
        num_key_value_heads=max(4, hidden // 64),
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        num_labels=1,
    )
    for name, kind in (("model", LlamaForCausalLM), ("reward", LlamaForSequenceClassification)):
        kind(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
