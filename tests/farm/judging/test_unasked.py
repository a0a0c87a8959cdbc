"""Stored replies, read again with no provider: ours, imported ones, and what was never recorded."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.errors import ConfigError
from db.interchange.preferences import instruction_id
from db.interchange.rows import ReadOptions
from db.ledger import Ledger, PairFilter
from db.queries.exports import RowFilter, preference_rows
from db.records import Instruction, Output, Pair
from db.tables import ANNOTATION, CLAIM
from farm.annotate import AnnotateReport, annotate, plan
from farm.import_ import import_files
from farm.judging.provider import Provider, Task
from tests.support.judging_runs import silent

JUDGES = ("gpt_4", "chatgpt", "chatgpt_0301", "llama2", "palm2", "falcon")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "farm.db", create=True) as opened:
        yield opened


def fill(ledger: Ledger, pairs: int) -> None:
    made = []
    for i in range(pairs):
        asked = Instruction(f"Say something about the number {i}.")
        texts = (f"It is {i}." + " Indeed." * (i % 5), f"{i} follows {i - 1}." + " So there." * (i % 3))
        made.append(Pair.of(*(Output(asked, text, f"m{k}") for k, text in enumerate(texts)))[0])
    with ledger.writing() as writer:
        writer.pairs(made)


def recorded(folder: Path, *lines: str) -> str:
    """The path of an annotator of these lines."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "annotator.yaml").write_text("\n".join([f"name: {folder.name}", "kind: llm", *lines]) + "\n")
    return str(folder)


def replay(ledger: Ledger, name: str, **options: object) -> AnnotateReport:
    return annotate(ledger, name, Task(**options), silent)  # type: ignore[arg-type]


def row(item: str, text: str | None, **changes: object) -> dict[str, object]:
    """An imported judgement by `bot` whose first output is better."""
    return {
        "source": "board", "subset": None, "item_id": item,
        "instruction_id": instruction_id(f"Task {item}", ""),
        "instruction": f"Task {item}", "input": "", "output_1": f"one {item}", "output_2": f"two {item}",
        "output_1_model": "m", "output_2_model": "n", "annotator": "bot", "annotator_kind": "llm",
        "preference": 1, "preference_raw": None, "order_swapped": False, "raw_completion": text,
        "scores": None, "meta": {}, **changes,
    }  # fmt: skip


def bring(ledger: Ledger, path: Path, *rows: dict[str, object]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    import_files(ledger, "preferences", [path], ReadOptions(), silent)


def judged(ledger: Ledger, name: str) -> dict[tuple[object, ...], float | None]:
    """P(the output exported first), by instruction, replicate and order."""
    rows = preference_rows(ledger, RowFilter())
    return {
        (r.instruction, r.output_1, r.replicate, r.order_swapped): r.preference
        for r in rows
        if r.annotator == name
    }


def of_first(ledger: Ledger, name: str) -> dict[str, float | None]:
    """P(output `one`), by item, of an annotator that judged each once."""
    found = {}
    for (task, output_1, *_), value in judged(ledger, name).items():
        is_one = str(output_1).startswith("one")
        found[str(task)[-1]] = value if is_one or value is None else 1 - value
    return found


def statuses(ledger: Ledger, name: str) -> Counter[str]:
    [card] = [card for card in ledger.annotators() if card.name == name]
    with ledger.reading() as connection:
        rows = connection.execute(ANNOTATION.select().where(ANNOTATION.c.annotator_id == card.id)).all()
    return Counter(each.reason or each.status for each in rows)


@pytest.mark.parametrize(
    ("name", "parser"),
    [("plain", "{name: verdict}"), ("ranked-list", "{name: list}"), ("logprob", "{name: logprob}")],
)
def test_what_we_stored_is_read_again_without_a_provider(
    ledger: Ledger, tmp_path: Path, name: str, parser: str
) -> None:
    fill(ledger, 42)
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as simulator:
        task = Task(replicates=2)
        first = annotate(ledger, name, task, silent, Provider(base_url=simulator.base_url))
        hits = simulator.stats().hits
        again = recorded(
            tmp_path / "again", f"recorded: {{annotator: {first.fingerprint[:12]}}}", f"parser: {parser}"
        )
        report = replay(ledger, again)
        assert simulator.stats().hits == hits
    assert report.statuses == first.statuses
    assert report.requests == 0
    assert judged(ledger, "again") == judged(ledger, name)
    repeated = replay(ledger, again)
    assert (repeated.known, repeated.statuses) == (first.statuses["ok"], {})


def test_a_replay_shares_the_completions_it_reads(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 5)
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as simulator:
        annotate(ledger, "plain", Task(), silent, Provider(base_url=simulator.base_url))
    replay(ledger, recorded(tmp_path / "again", "recorded: {annotator: plain}", "parser: {name: verdict}"))
    with ledger.reading() as connection:
        rows = connection.execute(ANNOTATION.select()).all()
        claims = connection.execute(CLAIM.select()).all()
    assert len(claims) == 5
    by_pair: dict[int, set[int | None]] = {}
    for each in rows:
        by_pair.setdefault(each.pair_id, set()).add(each.completion_id)
    assert all(len(ids) == 1 and None not in ids for ids in by_pair.values())


def test_imported_replies_are_read_in_the_order_that_the_import_says(ledger: Ledger, tmp_path: Path) -> None:
    bring(
        ledger,
        tmp_path / "x.jsonl",
        row("1", "Verdict: A"),
        row("2", "Verdict: A", order_swapped=True, preference=2),
        row("3", "Verdict: B", order_swapped=None, preference=2),  # unknown: as it is stored
        row("4", "I cannot say", preference=None),
    )
    report = replay(
        ledger, recorded(tmp_path / "re", "recorded: {annotator: bot}", "parser: {name: verdict}")
    )
    assert report.statuses == {"ok": 3, "unreadable": 1}
    found = of_first(ledger, "re")
    assert [found[item] for item in "1234"] == [1.0, 0.0, 0.0, None]


def test_what_has_no_recording_fails_and_is_not_made_up(ledger: Ledger, tmp_path: Path) -> None:
    bring(ledger, tmp_path / "x.jsonl", row("1", "Verdict: A"), row("2", None))
    fill(ledger, 3)
    name = recorded(tmp_path / "re", "recorded: {annotator: bot}", "parser: {name: verdict}")
    assert replay(ledger, name).statuses == {"ok": 1, "failed": 4}
    reasons = statuses(ledger, "re")
    assert reasons["bot has no recording of this pair"] == 3
    assert reasons["bot judged this pair, but its reply was not kept"] == 1
    bring(ledger, tmp_path / "y.jsonl", row("2", "Verdict: B", preference=2, item_id="2b"))
    assert replay(ledger, name, pairs=PairFilter(source="board")).statuses == {"ok": 1, "failed": 1}


def test_a_reply_about_several_pairs_is_not_read_as_one_about_each(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 10)
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as simulator:
        annotate(ledger, "ranked-list", Task(), silent, Provider(base_url=simulator.base_url))
    wrong = recorded(tmp_path / "re", "recorded: {annotator: ranked-list}", "parser: {name: verdict}")
    assert replay(ledger, wrong).statuses == {"unreadable": 10}


def test_stored_log_probabilities_are_read(ledger: Ledger, tmp_path: Path) -> None:
    weighed = {"text": "m", "top_logprobs": [{"m": -0.2231435513142097, "M": -1.6094379124341003}]}
    chat = {"logprobs": {"content": [{"token": "M", "logprob": -0.1, "top_logprobs": [
        {"token": "M", "logprob": -0.1}, {"token": "m", "logprob": -3.0}]}]}}  # fmt: skip
    bring(
        ledger, tmp_path / "x.jsonl", row("1", json.dumps(weighed)), row("2", json.dumps(chat)), row("3", "m")
    )
    parser = "parser: {name: logprob}"
    name = recorded(tmp_path / "re", "recorded: {annotator: bot}", "outputs: [m, M]", parser)
    assert replay(ledger, name).statuses == {"ok": 2, "unreadable": 1}
    found = of_first(ledger, "re")
    assert found["1"] == pytest.approx(0.8)
    assert found["2"] == pytest.approx(0.0522, abs=1e-4)


def test_identity_covers_parser_and_source(ledger: Ledger, tmp_path: Path) -> None:
    bring(ledger, tmp_path / "x.jsonl", row("1", "Verdict: A"), row("2", "A", source="other"))
    wanted = [
        ("recorded: {annotator: bot}", "parser: {name: verdict}"),
        ("recorded: {annotator: bot}", "parser: {name: verdict, start: true}"),
        ("recorded: {annotator: bot, source: other}", "parser: {name: verdict}"),
        (
            "recorded: {annotator: bot}",
            "outputs: [1, 2]".replace("1, 2", "'1', '2'"),
            "parser: {name: verdict}",
        ),
    ]
    prints = [replay(ledger, recorded(tmp_path / "re", *lines)).fingerprint for lines in wanted]
    assert len(set(prints)) == 4
    [bot] = [card for card in ledger.annotators() if card.name == "bot"]
    same = recorded(tmp_path / "re", f"recorded: {{annotator: {bot.key}}}", "parser: {name: verdict}")
    assert replay(ledger, same).fingerprint == prints[0]
    only = recorded(tmp_path / "re", *wanted[2])
    assert replay(ledger, only).pairs == 1  # of its source
    assert plan(ledger, only, Task(), Provider()).requests == 0


def test_label_noise_is_drawn_for_recordings_too(ledger: Ledger, tmp_path: Path) -> None:
    bring(ledger, tmp_path / "x.jsonl", *(row(str(i), "Verdict: A") for i in range(200)))
    lines = ("recorded: {annotator: bot}", "parser: {name: verdict}", "noise: {flip: 0.25, replace: true}")
    report = replay(ledger, recorded(tmp_path / "re", *lines))
    assert sum(report.statuses.values()) == 200
    assert 70 <= report.statuses["spared"] <= 130  # half of them are replaced by a coin


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["recorded: {annotator: nobody}"], {}, "no annotator 'nobody'"),
        (["recorded: {annotator: bot, source: moon}"], {}, "no stored replies from moon"),
        (["recorded: {annotator: bot}"], {"replicates": 2}, "leave out --replicates"),
        (["recorded: {annotator: bot}", "orders: both"], {}, "a recording has the orders"),
        (["recorded: {annotator: bot}", "model: small"], {}, "model: unknown key"),
        (["recorded: {annotater: bot}"], {}, "did you mean 'annotator'"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    ledger: Ledger, tmp_path: Path, lines: list[str], options: dict[str, object], message: str
) -> None:
    bring(ledger, tmp_path / "x.jsonl", row("1", "Verdict: A"))
    with pytest.raises(ConfigError, match=message):
        replay(ledger, recorded(tmp_path / "re", *lines, "parser: {name: verdict}"), **options)


@pytest.mark.slow
def test_recorded_judges_are_read_as_they_were_recorded(
    ledger: Ledger, tmp_path: Path, real_data: Path
) -> None:
    """LLMBar's judges, without the swap strategies' two rounds: at least 99.5 % of what upstream read."""
    same = total = 0
    for judge in JUDGES:
        path = real_data / f"llmbar_judge_{judge}.jsonl.gz"
        import_files(ledger, "preferences", [path], ReadOptions(), silent)
        with gzip.open(path, "rt") as lines:
            rows = [json.loads(line) for line in lines]
        for name in sorted({each["annotator"] for each in rows if each["raw_completion"]})[:3]:
            strategy = name.split("/")[1]
            start = not ("CoT" in strategy or strategy.startswith("Swap"))
            parser = f"parser: {{name: verdict, start: {str(start).lower()}}}"
            again = recorded(tmp_path / "re", f'recorded: {{annotator: "{name}"}}', "outputs: [a, b]", parser)
            report = replay(ledger, again)
            assert report.requests == 0
            ours, theirs = _by_item(ledger, report.fingerprint), _by_item(ledger, name)
            read = [asked for asked, value in theirs.items() if value is not None]
            same += sum(ours.get(asked) == theirs[asked] for asked in read)
            total += len(read)
    assert total > 10_000
    assert same / total >= 0.995


def _by_item(ledger: Ledger, annotator: str) -> dict[tuple[int, int, int | None], float | None]:
    """P(output_a) by pair, replicate and order, of an annotator by name or fingerprint."""
    [card] = [card for card in ledger.annotators() if annotator in (card.name, card.key)]
    with ledger.reading() as connection:
        query = ANNOTATION.select().where(ANNOTATION.c.annotator_id == card.id).order_by(ANNOTATION.c.id)
        rows = connection.execute(query).all()
    found: dict[tuple[int, int, int | None], float | None] = {}
    for each in rows:
        replicate = each.replicate
        while (each.pair_id, replicate, each.swapped) in found:
            replicate += 1
        found[each.pair_id, replicate, each.swapped] = each.preference
    return found


def test_the_example_of_the_page_works_as_it_stands(ledger: Ledger, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "annotators.md").read_text(encoding="utf-8")
    section = page.split("## Recorded replies, read again")[1]
    (tmp_path / "reread").mkdir()
    (tmp_path / "reread" / "annotator.yaml").write_text(section.split("```yaml\n")[1].split("```")[0])
    names = {"annotator": "gpt-4-judge", "source": "my-study"}
    rows = (row("1", "Output (a) is better."), row("2", "Output (b)"), row("3", "Neither."))
    bring(ledger, tmp_path / "study.jsonl", *(each | names for each in rows))
    assert replay(ledger, str(tmp_path / "reread")).statuses == {"ok": 2, "unreadable": 1}
    assert of_first(ledger, "reread") == {"1": 1.0, "2": 0.0, "3": None}
