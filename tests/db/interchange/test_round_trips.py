"""What is imported, exported and imported again is the same; real sets are read on the right sides."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from db.interchange.rows import ImportedPair, PreferenceRow
from db.ledger import Ledger
from db.queries.outputs import outputs_of, producers
from db.records import Instruction, Source
from tests.support.command_line import farm, told
from tests.support.shapes import shaped

REAL = os.environ.get("FARM_REAL_DATA")


def said(answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": answer}]


ARENA = [
    {"question_id": f"q{i}", "model_a": "m1", "model_b": "m2", "winner": winner, "judge": f"user_{i}"}
    | {"conversation_a": said(f"hi {i}"), "conversation_b": said("no")}
    for i, winner in enumerate(("model_a", "model_b", "tie"))
]
BENCH = [
    {"prompt": prompt, "chosen": chosen, "rejected": rejected, "subset": subset}
    | {"chosen_model": "m3", "rejected_model": model}
    for prompt, chosen, rejected, subset, model in (
        ("x", "a", "b", "s", "m4"),
        ('y, "z"', "c\n\nd", "", "t", ""),
    )
]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger of three shapes: battles, a benchmark, a table with scores."""
    scored = [{"prompt": "s", "response_a": "one", "response_b": "two", "score_a": 1.5, "score_b": 4}]
    for name, rows in (("arena", ARENA), ("bench", BENCH), ("table", scored)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        report = told(tmp_path / "a.db", "import", tmp_path / f"{name}.jsonl", "--yes")
        assert (report["kept"], report["refused"]) == (len(rows), 0)
    return tmp_path / "a.db"


@pytest.mark.parametrize(
    ("name", "ending", "rows"),
    [
        ("preferences", ".jsonl", 6),
        ("preferences", ".jsonl.gz", 6),
        ("preferences", ".parquet", 6),
        ("trl", ".jsonl", 5),
        ("trl", ".parquet", 5),
        ("alpaca-farm", ".json", 6),
    ],
)
def test_a_round_trip_loses_nothing(ledger: Path, tmp_path: Path, name: str, ending: str, rows: int) -> None:
    first, second, third = (tmp_path / f"{n}{ending}" for n in ("first", "second", "third"))
    assert told(ledger, "export", name, first)["rows"] == rows
    assert told(tmp_path / "b.db", "import", name, first)["kept"] == rows
    assert told(tmp_path / "b.db", "export", "preferences", second.with_name("b.jsonl"))["rows"] == rows
    assert told(tmp_path / "b.db", "export", name, second)["rows"] == rows
    assert told(tmp_path / "c.db", "import", name, second)["kept"] == rows
    assert told(tmp_path / "c.db", "export", name, third)["rows"] == rows
    assert second.read_bytes() == third.read_bytes() or ending != ".jsonl"
    again = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert farm(ledger, "export", "preferences", tmp_path / "a.jsonl").code == 0
    before = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    decided = [row for row in before if row["preference"] or name != "trl"]
    same = winner if name == "alpaca-farm" else json.dumps
    assert Counter(map(same, again)) == Counter(map(same, decided))


TALK: list[dict[str, str]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Name a colour."},
    {"role": "assistant", "content": "red\n\nUser: or blue"},
    {"role": "user", "content": "Another."},
]
ANSWERS = {
    side: [{"role": "assistant", "content": text}] for side, text in (("chosen", "ß"), ("rejected", "no"))
}
BATTLE = {"model_a": "m", "model_b": "n", "winner": "model_a"}
FROM = {"system": "system", "user": "human", "assistant": "gpt"}
SHARED: dict[str, Any] = {"system": "Be brief.", "history": [["Name a colour.", TALK[2]["content"]]]}
AS_MESSAGES: dict[str, dict[str, Any]] = {
    "trl": {"prompt": TALK, **ANSWERS},
    "openai": {
        "input": {"messages": TALK},
        "preferred_output": ANSWERS["chosen"],
        "non_preferred_output": ANSWERS["rejected"],
    },
    "messages": {"messages": TALK, "chosen": "ß", "rejected": "no"},
    "ms-swift": {"messages": [*TALK, *ANSWERS["chosen"]], "rejected_response": "no"},
    "sharegpt": {
        "conversations": [{"from": FROM[each["role"]], "value": each["content"]} for each in TALK],
        "chosen": {"from": "gpt", "value": "ß"},
        "rejected": {"from": "gpt", "value": "no"},
    },
    "llama-factory": {"instruction": "Another.", "chosen": "ß", "rejected": "no", **SHARED},
    "medical-gpt": {"question": "Another.", "response_chosen": "ß", "response_rejected": "no", **SHARED},
    "arena": {
        "conversation_a": [*TALK, *ANSWERS["chosen"]],
        "conversation_b": [*TALK, *ANSWERS["rejected"]],
        **BATTLE,
    },
    "helpsteer3": {"context": TALK, "response1": "ß", "response2": "no", "overall_preference": -2},
    "table": {"q": json.dumps(TALK), "good_answer": "ß", "bad_answer": "no"},
}


@pytest.mark.parametrize("name", AS_MESSAGES)
def test_every_reader_keeps_the_same_turns(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(AS_MESSAGES[name]))
    maps = ("--map", "prompt=q", "--map", "chosen=good_answer", "--map", "rejected=bad_answer")
    report = told(tmp_path / "a.db", "import", name, tmp_path / "x.jsonl", *(maps if name == "table" else ()))
    assert (report["kept"], report["refused"]) == (1, 0), report
    with Ledger.open(tmp_path / "a.db") as ledger:
        [pair] = ledger.pairs()
    assert [turn.message for turn in pair.instruction.turns] == TALK
    assert {pair.output_a.text, pair.output_b.text} == {"ß", "no"}


@pytest.mark.parametrize(
    ("name", "ending"),
    [("preferences", ".jsonl"), ("trl", ".jsonl"), ("trl", ".parquet"), ("trl-unpaired", ".jsonl")],
)
def test_a_round_trip_loses_no_turn(tmp_path: Path, name: str, ending: str) -> None:
    flat = {"prompt": "Say hi.", "chosen": "hi", "rejected": "no"}
    talks = [AS_MESSAGES["trl"], AS_MESSAGES["trl"] | {"prompt": TALK[1:]}, flat]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, talks)))
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    assert told(tmp_path / "a.db", "import", "trl", tmp_path / "x.jsonl")["kept"] == 3
    assert told(tmp_path / "a.db", "export", name, first)["rows"] == (6 if name == "trl-unpaired" else 3)
    again = told(tmp_path / "b.db", "import", name, first)
    assert (again["kept"], again["refused"]) == (6 if name == "trl-unpaired" else 3, 0), again
    assert asked(tmp_path / "b.db") == asked(tmp_path / "a.db")
    assert {len(each.turns) for each in asked(tmp_path / "b.db")} == {0, 3, 4}
    if name != "trl-unpaired":
        assert told(tmp_path / "b.db", "export", name, second)["rows"] == 3
        assert first.read_bytes() == second.read_bytes() or ending == ".parquet"


CALLED: list[dict[str, str]] = [
    {"role": "assistant", "content": "I add.\n\nTool: 3"},
    {"role": "tool", "content": "2", "name": "add", "tool_call_id": "1"},
    {"role": "assistant", "content": "Two."},
]


@pytest.mark.parametrize(
    ("name", "ending"),
    [("preferences", ".jsonl"), ("trl", ".jsonl"), ("trl", ".parquet"), ("trl-unpaired", ".jsonl")],
)
def test_an_output_of_several_turns_comes_back(tmp_path: Path, name: str, ending: str) -> None:
    row = {"prompt": [TALK[1]], "chosen": CALLED, "rejected": ANSWERS["rejected"]}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    first = tmp_path / f"first{ending}"
    assert told(tmp_path / "a.db", "import", "trl", tmp_path / "x.jsonl")["kept"] == 1
    told(tmp_path / "a.db", "export", name, first)
    assert told(tmp_path / "b.db", "import", name, first)["refused"] == 0
    for ledger in ("a.db", "b.db"):
        with Ledger.open(tmp_path / ledger) as opened:
            found = [each for made in producers(opened) for each in outputs_of(opened, Source(made.producer))]
        [output] = [each for each in found if each.turns]
        assert [turn.message for turn in output.turns] == CALLED
        assert output.text == "Assistant: I add.\n\nTool: 3\n\nTool (add, 1): 2\n\nAssistant: Two."
    if name == "trl" and ending == ".jsonl":
        again = json.loads(first.read_text())
        assert {side: again[side] for side in row} == row


def asked(path: Path) -> set[Instruction]:
    """The instructions of a ledger's outputs."""
    with Ledger.open(path) as ledger:
        return {
            each.instruction
            for made in producers(ledger)
            for each in outputs_of(ledger, Source(made.producer))
        }


def test_turns_that_are_not_the_instruction_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(AS_MESSAGES["trl"]))
    assert told(tmp_path / "a.db", "import", "trl", tmp_path / "x.jsonl")["kept"] == 1
    assert told(tmp_path / "a.db", "export", "preferences", tmp_path / "first.jsonl")["rows"] == 1
    row = json.loads((tmp_path / "first.jsonl").read_text())
    row["meta"]["_farm"]["turns"][0]["content"] = "Be long."
    (tmp_path / "second.jsonl").write_text(json.dumps(row))
    said = farm(tmp_path / "b.db", "import", "preferences", tmp_path / "second.jsonl", "--json")
    report = json.loads(said.out)
    assert (
        report["files"][0]["refusals"][0]["reason"]
        == "meta._farm.turns are not the turns of this instruction"
    )


def winner(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The preferred output, the other, with their models; whether one is preferred; where, and by whom."""
    pair = [(row[f"output_{side}"], row[f"output_{side}_model"]) for side in (1, 2)]
    first, second = pair if row["preference"] == 1 else pair[::-1] if row["preference"] == 2 else sorted(pair)
    beside = (row["instruction"], row["input"], row["subset"], row["annotator"])
    return first, second, row["preference"] != 0, *beside


def auto_j(row: Mapping[str, Any]) -> dict[str, Any]:
    label = {1: 0, 2: 1, 0: 2}[row["preference"]]
    texts = {"prompt": row["instruction"], "response 1": row["output_1"], "response 2": row["output_2"]}
    return texts | {"scenario": row["subset"], "label": label}


def llm_bar(row: Mapping[str, Any]) -> dict[str, Any]:
    texts = {"input": row["instruction"], "output_1": row["output_1"], "output_2": row["output_2"]}
    return texts | {"label": row["preference"]}


def judge_bench(row: Mapping[str, Any]) -> dict[str, Any]:
    texts = {"question": row["instruction"], "response_A": row["output_1"], "response_B": row["output_2"]}
    return texts | {"source": row["subset"], "label": "A>B" if row["preference"] == 1 else "B>A"}


@pytest.mark.skipif(REAL is None, reason="FARM_REAL_DATA is not set: no real data here")
@pytest.mark.parametrize(
    ("file", "name", "annotator", "upstream", "count"),
    [
        ("autoj", "auto-j", "autoj-human-consensus", auto_j, 658),
        ("llmbar_gold", "llmbar", "llmbar-gold", llm_bar, 419),
        ("judgebench", "judgebench", "judgebench-verified", judge_bench, 296),
    ],
)
def test_real_sets_in_their_upstream_shapes_keep_every_side(
    tmp_path: Path, file: str, name: str, annotator: str, upstream: Callable[..., dict[str, Any]], count: int
) -> None:
    with gzip.open(Path(str(REAL)) / f"{file}.jsonl.gz", "rt") as lines:
        rows = [
            row
            for row in map(json.loads, lines)
            if row["annotator"] == annotator and row["source"] in annotator
        ]
    found = shaped(tmp_path / "x.jsonl", name, [upstream(row) for row in rows])
    codes = {1: 1.0, 2: 0.0, 0: 0.5}
    right = [
        isinstance(entry, PreferenceRow)
        and (entry.output_1, entry.output_2, entry.preference)
        == (row["output_1"], row["output_2"], codes[row["preference"]])
        for entry, row in zip(found, rows, strict=True)
    ]
    assert (sum(right), len(right)) == (count, count)


@pytest.mark.skipif(REAL is None, reason="FARM_REAL_DATA is not set: no real data here")
@pytest.mark.parametrize(("file", "count"), [("tulu1_human_eval", 591), ("llmfao", 4864), ("pandalm", 1446)])
def test_real_people_in_a_table_keep_every_side(tmp_path: Path, file: str, count: int) -> None:
    from db.interchange import FORMATS
    from db.interchange.rows import ReadOptions
    from db.interchange.table_guess import guess_table

    with gzip.open(Path(str(REAL)) / f"{file}.jsonl.gz", "rt") as lines:
        rows = [row for row in map(json.loads, lines) if row["annotator_kind"] == "human"]
    names = {1: "model_a", 2: "model_b", 0: "tie", None: None}
    path = tmp_path / "x.jsonl"
    with path.open("w") as out:
        for row in rows:
            texts = {
                "prompt": row["instruction"],
                "response_a": row["output_1"],
                "response_b": row["output_2"],
            }
            out.write(
                json.dumps(texts | {"winner": names[row["preference"]], "rater": row["annotator"]}) + "\n"
            )
    guessed = guess_table(path)
    found = list(FORMATS["table"].read(path, ReadOptions(table=guessed.mapping)))
    codes = {1: 1.0, 2: 0.0, 0: 0.5}
    right = [
        (entry.output_1, entry.annotator, entry.preference)
        == (row["output_1"], row["annotator"], codes[row["preference"]])
        if isinstance(entry, PreferenceRow)
        else isinstance(entry, ImportedPair) and row["preference"] is None
        for entry, row in zip(found, rows, strict=True)
    ]
    assert (guessed.open, sum(right), len(right)) == ((), count, count)
