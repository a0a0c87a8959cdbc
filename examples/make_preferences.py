"""Makes a small preference set to try the tools on: sums, right and wrong, judged by noisy people.

    python examples/make_preferences.py preferences.jsonl

Two models answer 240 sums, sometimes wrongly, sometimes at length. Three people prefer right answers and,
a little, longer ones, and err now and then; a strict judge prefers the same, in both orders, but takes what
it sees first now and then. Every draw is a keyed hash: the file is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from db.ids import keyed_uniform

SUMS = 240
PEOPLE = {"ada": 0.10, "ben": 0.18, "cleo": 0.25}  # how often each errs
FIRST_SHOWN = 0.15  # how often the strict judge takes the first, whatever it says


def answer(model: str, a: int, b: int) -> str:
    """The terse model is right 80 % of the time, the chatty one 65 %."""
    terse = model == "terse"
    right = keyed_uniform("right", model, a, b) < (0.80 if terse else 0.65)
    result = a + b if right else a + b + (1 if keyed_uniform("slip", model, a, b) < 0.5 else 10)
    if terse:
        return f"{result}"
    return f"To add {a} and {b}:\n- start from {a}\n- count on by {b}\nSo the sum is {result}."


def quality(text: str, a: int, b: int) -> float:
    """Right is worth 1, words a little."""
    digits = "".join(c if c.isdigit() else " " for c in text).split()
    return float(digits[-1] == str(a + b)) + 0.1 * (len(text) > 20)


def rows() -> Iterator[dict[str, object]]:
    for number in range(SUMS):
        a, b = 3 + number % 61, 7 + (number * 13) % 90
        outputs = {model: answer(model, a, b) for model in ("chatty", "terse")}
        first, second = (quality(outputs[model], a, b) for model in ("chatty", "terse"))
        instruction = f"What is {a} plus {b}?"
        digest = hashlib.sha256(f"{instruction.lower()} ".strip().encode()).hexdigest()
        shared: dict[str, object] = {
            "source": "sums", "subset": "even" if number % 2 == 0 else "odd", "item_id": f"sum-{number:03}",
            "instruction_id": digest[:12], "instruction": instruction, "input": "",
            "output_1": outputs["chatty"], "output_2": outputs["terse"],
            "output_1_model": "chatty", "output_2_model": "terse",
            "preference_raw": None, "raw_completion": None, "scores": None, "meta": {},
        }  # fmt: skip
        best = 1 if first > second else 2
        for person, error in PEOPLE.items():
            verdict = best if keyed_uniform("error", person, number) >= error else 3 - best
            swapped = keyed_uniform("shown", person, number) < 0.5
            yield shared | judged(person, "human", verdict, swapped)
        for swapped in (False, True):
            leans = keyed_uniform("lean", number, swapped) < FIRST_SHOWN
            verdict = (2 if swapped else 1) if leans else best
            yield shared | judged("strict-judge", "llm", verdict, swapped)


def judged(annotator: str, kind: str, preference: int, swapped: bool) -> dict[str, object]:
    return {
        "annotator": annotator,
        "annotator_kind": kind,
        "preference": preference,
        "order_swapped": swapped,
    }


def main() -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows()]
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} judgements of {SUMS} pairs in {sys.argv[1]}")


if __name__ == "__main__":
    main()
