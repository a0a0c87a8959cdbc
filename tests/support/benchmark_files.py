"""Small benchmarks in their public formats, and judges that say what they are told of them.

A right output begins with "good", a wrong one with "bad".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from db.ledger import Ledger
from db.records import Annotation, AnnotationStatus, AnnotatorCard, AnnotatorKind
from tests.support.command_line import told

GOOD, BAD, TIE, NONE = "good", "bad", "tie", "none"
Says = Callable[[str, str, str], Sequence[str]]
"""(instruction, right output, wrong output) -> what is said with either output first, or at once."""


def reward_bench_row(subset: str, number: int) -> dict[str, Any]:
    """A row of RewardBench."""
    return {
        "prompt": f"{subset} {number}?",
        "chosen": f"good {number}",
        "chosen_model": "m",
        "rejected": f"bad {number}",
        "rejected_model": "n",
        "subset": subset,
        "id": number,
    }


def listed_row(prompt: str, good: Sequence[str], bad: Sequence[str], **more: Any) -> dict[str, Any]:
    """A row of RewardBench 2 or RM-Bench."""
    texts = {"chosen": [f"good {each}" for each in good], "rejected": [f"bad {each}" for each in bad]}
    return {"prompt": prompt, **texts, **more}


def results_of(rows: Sequence[Mapping[str, Any]], **columns: Any) -> dict[str, Any]:
    """A model's results of a set, as RewardBench's scripts write them."""
    about = {name: [row[name] for row in rows] for name in ("id", "subset")}
    return {
        "results": [0] * len(rows),
        **about,
        "model": "scorer",
        "model_type": "Seq. Classifier",
        **columns,
    }


def imported(path: Path, format: str, rows: object, *flags: str, file: str = "rows.jsonl") -> Path:
    """A ledger to which a file of this format is added. rows: a list makes JSON lines."""
    place = path.parent / file
    place.parent.mkdir(parents=True, exist_ok=True)
    lines = rows if isinstance(rows, list) and file.endswith("l") else [rows]
    place.write_text("\n".join(map(json.dumps, lines)))
    assert told(path, "import", format, place, *flags)["refused"] == 0
    return path


def judge(path: Path, name: str, says: Says, kind: AnnotatorKind = AnnotatorKind.LLM) -> None:
    """Let a judge say of every pair what `says` gives: nothing, one order, or both orders."""
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        [who] = writer.annotators([AnnotatorCard(name, kind)])
        for pair in list(ledger.pairs()):
            a_is_right = pair.output_a.text.startswith(GOOD)
            texts = sorted((pair.output_a.text, pair.output_b.text), reverse=True)  # good, bad
            for swapped, said in enumerate(says(pair.instruction.text, *texts)):
                value = {GOOD: float(a_is_right), BAD: float(not a_is_right), TIE: 0.5, NONE: None}[said]
                status = AnnotationStatus.UNREADABLE if value is None else AnnotationStatus.OK
                made = Annotation(pair.id, who, value, value, bool(swapped), status)
                writer.annotations([made])


def scored(path: Path, benchmark: str, *flags: object) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What `farm audit --benchmark` tells: all of it, and the rows by annotator."""
    found = told(path, "audit", "--benchmark", benchmark, *flags)["benchmark"]
    return found, {row["annotator"]: row for row in found["annotators"]}


def values(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of a row without their bounds."""
    return {name: each["value"] for name, each in row["figures"].items()}
