"""Several outputs in one judgement, over a real HTTP provider: one request a group, and all of its pairs."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.catalogue import FOLDER
from annotators.clients.failures import BudgetExhausted
from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig
from annotators.simulator.faults import STORM
from db.ids import keyed_uniform
from db.ledger import Ledger, PairFilter
from db.queries import training
from db.records import Instruction, Output, Pair
from db.tables import ANNOTATION, CLAIM, CLAIM_SLOT
from farm.judging.provider import Task
from farm.snapshot import Choice, snapshot
from tests.support.command_line import farm, refused, told
from tests.support.judging_runs import count, run

GROUPS, OUTPUTS = 60, 4  # 360 pairs: more than one window of the engine


def worth(instruction: str, input: str, output: str) -> float:
    return 3 * keyed_uniform("worth", output)


def outputs_to(number: int, outputs: int = OUTPUTS) -> list[Output]:
    asked = Instruction(f"Say something about {number}.")
    return [Output(asked, f"It is {number}, says number {k}.", f"m{k}") for k in range(outputs)]


def write_pairs(path: Path | str, groups: int = GROUPS, outputs: int = OUTPUTS) -> Path | str:
    """A ledger with every two outputs to each instruction as a pair."""
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        writer.pairs(
            [Pair.of(*two)[0] for i in range(groups) for two in combinations(outputs_to(i, outputs), 2)]
        )
    return path


def ranker(folder: Path, name: str, *lines: str, of: str = "ranking", temperature: float = 0) -> str:
    """A copy of an annotator of the catalogue under another name, with other lines."""
    (folder / name).mkdir(parents=True)
    (folder / name / "prompt.jinja").write_text((FOLDER / of / "prompt.jinja").read_text())
    decoding = f"decoding: {{temperature: {temperature}, max_tokens: 30}}"
    head = ["kind: llm", f"name: {name}", "model: m", decoding, "outputs: [A, B, C, D]"]
    (folder / name / "annotator.yaml").write_text(
        "\n".join([*head, *(lines or ["parser: {name: ranking}"]), ""])
    )
    return str(folder / name)


def judging(*script: str, **judge: Any) -> Simulator:
    plan = FaultPlan(script=script) if script else FaultPlan()
    return Simulator(SimulatorConfig(judge=Judge(**{"utility": worth, **judge}), faults=plan))


def rows(path: Path | str, annotator: str) -> list[Any]:
    with Ledger.open(path) as ledger, ledger.reading() as connection:
        number = next(card.id for card in ledger.annotators() if card.name == annotator)
        return list(connection.execute(ANNOTATION.select().where(ANNOTATION.c.annotator_id == number)))


def test_a_group_is_one_request_one_claim_and_a_row_for_each_pair(ledger_url: str, tmp_path: Path) -> None:
    write_pairs(ledger_url)
    with judging() as simulator, Ledger.open(ledger_url) as ledger:
        report = run(ledger, simulator, ranker(tmp_path, "rank"))
        assert report.statuses == {"ok": GROUPS * 6}
        assert simulator.stats().hits == report.requests == GROUPS
        assert (count(ledger, CLAIM), count(ledger, CLAIM_SLOT)) == (GROUPS, GROUPS * 6)
        again = run(ledger, simulator, str(tmp_path / "rank"))
        assert (again.known, again.requests) == (GROUPS * 6, 0)
        pairs = {pair.id: pair for pair in ledger.pairs()}
    by_draw = defaultdict(list)
    for row in rows(ledger_url, "rank"):
        by_draw[row.completion_id].append(row)
        a, b = (
            worth("", "", each.text) for each in (pairs[row.pair_id].output_a, pairs[row.pair_id].output_b)
        )
        assert row.preference == float(a > b)
    assert len(by_draw) == GROUPS
    for mine in by_draw.values():
        assert sorted(row.slot for row in mine) == list(range(6))
        assert len({pairs[row.pair_id].instruction.key for row in mine}) == 1


def test_each_output_may_stand_at_each_place(tmp_path: Path) -> None:
    """A judge that always takes the first: an output wins all its pairs in a quarter of the groups."""
    ledger = write_pairs(tmp_path / "farm.db")
    with judging(position_bias=100) as simulator, Ledger.open(ledger) as opened:
        run(opened, simulator, ranker(tmp_path, "rank"))
        pairs = {pair.id: pair for pair in opened.pairs()}
    wins: Counter[tuple[str, str]] = Counter()
    swapped = 0
    for row in rows(ledger, "rank"):
        a, b = pairs[row.pair_id].output_a, pairs[row.pair_id].output_b
        wins[a.instruction.key, (a if row.preference == 1 else b).producer] += 1
        swapped += row.swapped
    firsts = Counter(producer for (_, producer), won in wins.items() if won == 3)
    assert sum(firsts.values()) == GROUPS
    assert all(each > 4 for each in firsts.values())  # 15 expected; 4 or fewer with chance 0.0003
    assert abs(swapped - GROUPS * 3) < 60


def test_both_orders_are_two_requests_and_cancel_what_the_place_does(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 10)
    both = ranker(tmp_path, "both", "parser: {name: ranking}", "orders: both")
    with judging(utility="table", position_bias=1) as simulator, Ledger.open(ledger) as opened:
        report = run(opened, simulator, both)
        assert (report.requests, report.statuses) == (20, {"ok": 120})
    found: defaultdict[int, dict[int, Any]] = defaultdict(dict)
    for row in rows(ledger, "both"):
        found[row.pair_id][row.swapped] = (row.preference, row.completion_id)
    assert all(each.keys() == {0, 1} for each in found.values())
    audit = told(ledger, "audit", "--average-orders", "--reference", "both")
    assert audit["annotators"][0]["n"] == 60


def test_pairs_are_preferred_with_the_chances_of_plackett_and_luce(tmp_path: Path) -> None:
    """The chance that i is ranked before j is that of the two alone: sigmoid(u_i - u_j) (Luce 1959)."""
    ledger = write_pairs(tmp_path / "farm.db")
    with judging() as simulator, Ledger.open(ledger) as opened:
        run(opened, simulator, ranker(tmp_path, "rank", temperature=1))
        pairs = {pair.id: pair for pair in opened.pairs()}
    gaps: dict[str, float] = defaultdict(float)
    for row in rows(ledger, "rank"):
        pair = pairs[row.pair_id]
        lead = worth("", "", pair.output_a.text) - worth("", "", pair.output_b.text)
        gaps[pair.instruction.key] += row.preference - 1 / (1 + np.exp(-lead))
    each = np.array(list(gaps.values()))
    assert abs(each.sum()) < 4 * np.sqrt((each**2).sum())  # groups are independent, pairs of one are not


def test_a_run_that_is_stopped_goes_on_with_whole_groups(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db")
    name = ranker(tmp_path, "rank")
    with judging() as simulator, Ledger.open(ledger) as opened:
        with pytest.raises(BudgetExhausted):
            run(opened, simulator, name, max_requests=25)
        assert run(opened, simulator, name).requests == GROUPS - 25
        assert simulator.stats().hits == GROUPS
    assert Counter(Counter(row.completion_id for row in rows(ledger, "rank")).values()) == {6: GROUPS}


def test_through_a_storm_of_faults_each_group_is_asked_until_it_is_answered_once(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 20)
    name = ranker(tmp_path, "rank")
    config = SimulatorConfig(
        judge=Judge(utility=worth), faults=FaultPlan(rate=0.3, names=("500", "429_0", "html", "cut"), seed=3)
    )
    with Simulator(config) as simulator, Ledger.open(ledger) as opened:
        report = run(opened, simulator, name)
        stats = simulator.stats()
        assert report.statuses == {"ok": 120}
        assert len(stats.bills) == 20
        assert stats.hits == report.requests > 20
        assert count(opened, CLAIM) == 20
    assert set(config.faults.names) <= set(STORM)


def test_a_failed_group_fails_as_a_whole_and_is_tried_again_as_one(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 5)
    name = ranker(tmp_path, "rank")
    with judging("refusal") as simulator, Ledger.open(ledger) as opened:
        assert run(opened, simulator, name).statuses == {"failed": 30}
        report = run(opened, simulator, name)
        assert (report.statuses, report.requests) == ({"ok": 30}, 5)
    assert Counter(row.attempt for row in rows(ledger, "rank")) == {0: 30, 1: 30}


def test_more_outputs_than_may_be_shown_are_cut_into_groups(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 4, outputs=7)
    with judging() as simulator, Ledger.open(ledger) as opened:
        report = run(opened, simulator, ranker(tmp_path, "rank"))
        assert report.statuses == {"ok": 4 * 21}
        assert report.requests == 4 * (2 + 9)  # two groups of four share one output; nine pairs go across
        assert run(opened, simulator, str(tmp_path / "rank")).known == 4 * 21
        limited = run(opened, simulator, ranker(tmp_path, "few"), Task(PairFilter(limit=3)))
        assert (limited.pairs, limited.statuses) == (3, {"ok": 3})


def test_only_the_best_is_asked_for_and_the_other_pairs_stay_open(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 20)
    best = ranker(tmp_path, "best", "parser: {name: ranking, best: true}", of="best-of")
    with judging() as simulator, Ledger.open(ledger) as opened:
        report = run(opened, simulator, best)
        assert (report.requests, report.statuses) == (20, {"ok": 60, "contested": 60})
        assert (run(opened, simulator, best).requests, run(opened, simulator, best).known) == (0, 120)
        card = snapshot(opened, "best", Choice(("best",))).card
        assert card.rows == 60
        for row in training.labelled(opened, card.id):
            better = row.output_a if row.label == 1 else row.output_b
            asked = row.instruction.text
            mine = [each.text for i in range(20) for each in outputs_to(i) if each.instruction.text == asked]
            assert better == max(mine, key=lambda text: worth("", "", text))
    assert told(ledger, "audit", "--reference", "best")["annotators"][0]["n"] == 60


def test_stored_rankings_are_read_again_for_nothing(tmp_path: Path) -> None:
    """By another parser of the same prompt, and by a file without a prompt."""
    ledger = write_pairs(tmp_path / "farm.db", 10)
    other = ranker(tmp_path, "other", "parser: {name: ranking, best: true}")
    again = tmp_path / "again" / "annotator.yaml"
    again.parent.mkdir()
    lines = ("kind: llm", "name: again", "recorded: {annotator: rank}", "outputs: [A, B, C, D]")
    again.write_text("\n".join([*lines, "parser: {name: ranking}", ""]))
    with judging() as simulator, Ledger.open(ledger) as opened:
        run(opened, simulator, ranker(tmp_path, "rank"))
        assert run(opened, simulator, other).requests == 0
        assert run(opened, simulator, str(again)).statuses == {"ok": 60}
        assert simulator.stats().hits == 10
    first, *others = (
        {row.pair_id: row.preference for row in rows(ledger, name)} for name in ("rank", "other", "again")
    )
    assert all(each == first for each in others)


def test_a_ranking_is_a_member_of_a_panel_like_any_judge(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 10)
    ranker(tmp_path, "rank")
    members = "members:\n- {annotator: rank}\n- {annotator: longest}\n"
    (tmp_path / "two.yaml").write_text(f"kind: panel\nname: two\ncombine: mean\n{members}")
    with judging() as simulator, Ledger.open(ledger) as opened:
        report = run(opened, simulator, str(tmp_path / "two.yaml"))
        assert (report.requests, report.statuses) == (10, {"ok": 60})


def test_a_ranking_gives_the_groups_of_methods_on_lists(tmp_path: Path) -> None:
    from farm.models.tokens import Prompt  # torch is slow to load
    from farm.training.conversions import group_pairs
    from farm.training.data import PreferencePair

    ledger = write_pairs(tmp_path / "farm.db", 10)
    with judging() as simulator, Ledger.open(ledger) as opened:
        run(opened, simulator, ranker(tmp_path, "rank"))
        card = snapshot(opened, "ranked", Choice(("rank",))).card
        records = [
            PreferencePair(Prompt.of(row.instruction), row.output_a, row.output_b, row.label)
            for row in training.labelled(opened, card.id)
        ]
    found = group_pairs(records)
    assert (len(found.groups), found.cyclic, found.partial) == (10, 0, 0)
    for group in found.groups:
        order = sorted(group.outputs, key=lambda text: worth("", "", text))
        expected = {text: k / 3 for k, text in enumerate(order)}
        assert dict(zip(group.outputs, group.scores, strict=True)) == pytest.approx(expected)


def test_what_a_run_would_ask_is_counted_in_groups(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 12)
    plan = told(ledger, "annotate", ranker(tmp_path, "rank"), "--dry-run")
    assert plan["requests"] == 12
    shown = farm(ledger, "annotators", "ranking").out
    assert "Ranking: B > C > A" in shown


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("parser: {name: verdict}", "use ranking"),
        ("parser: {name: ranking}\norders: stored", "no stored order"),
        ("parser: {name: ranking}\nbatch: 2", "reads one pair of a prompt"),
    ],
)
def test_what_ranks_no_outputs_is_refused(tmp_path: Path, line: str, words: str) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 1)
    assert words in refused(ledger, "annotate", ranker(tmp_path, "rank", line))


def test_a_pool_has_no_rankings(tmp_path: Path) -> None:
    ledger = write_pairs(tmp_path / "farm.db", 1)
    (tmp_path / "pool.yaml").write_text(json.dumps({"name": "p", "members": [{"annotator": "ranking"}]}))
    assert "members judge pairs" in refused(ledger, "annotate", tmp_path / "pool.yaml")
